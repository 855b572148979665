#!/bin/bash
# worker's part in the change 001-rename-worker of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-rename-worker'
DIGEST='bc8970b32bd99a88605f7c08611814cdcda64da349b89a1216592e2beb5e79bd'
CLUSTER='kubernetes'
NODE='worker'
RENAMED='better'
LOST=''
AUTHORITY='c97cb61b58b98aa9fd21ccebe45ad67f115bac34845bb3586002e8c95bf2d7d9'

<actions/change.sh>

files() {
<all of node/>
lay 0600 change stages <<'END_OF_FILE'
1 rename
END_OF_FILE
lay 0600 change 1.env <<'END_OF_FILE'
<node.env>
AIRSEED_NODE='better'
AIRSEED_CHANGE='001-rename-worker'
AIRSEED_STAGE='1'
AIRSEED_STAGES='1'
AIRSEED_LAST='1'
AIRSEED_PLANES='first'
AIRSEED_COUNT='2'
AIRSEED_NODES=''
AIRSEED_COUNT_BEFORE='0'
AIRSEED_AT_ONCE='1'
AIRSEED_PULLS=''
AIRSEED_LEAVER='worker'
AIRSEED_LEAVER_ADDRESSES='10.0.0.4'
AIRSEED_HELPER='first'
AIRSEED_HELPER_ADDRESS='10.0.0.1'
AIRSEED_SUCCESSOR='better'
END_OF_FILE
lay 0600 change 1.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: "api.example.com:6443"
    token: "8p9664.wvsxd0f4b3vtk0qd"
    caCertHashes:
    - "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
  timeout: "5m0s"
nodeRegistration:
  name: better
  criSocket: /var/run/dockershim.sock
END_OF_FILE
lay 0600 change 1.d/hosts <<'END_OF_FILE'
10.0.0.4 better
END_OF_FILE
lay64 0600 change 1.d/images.map <<'END_OF_FILE'
END_OF_FILE
lay 0600 change 1.d/pki/ca.crt <<'END_OF_FILE'
-----BEGIN CERTIFICATE-----
TWFkZSB1cCBmb3IgdGVzdHMsIG5vdCBhIHJlYWwgb25l
-----END CERTIFICATE-----
END_OF_FILE
}

main "$@"
