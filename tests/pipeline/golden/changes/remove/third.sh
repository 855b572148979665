#!/bin/bash
# third's part in the change 001-leave-third of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-leave-third'
DIGEST='5bb70d192e52725bbd3698e13aa047c631911198ce2332b59307c9444860156f'
CLUSTER='kubernetes'
NODE='third'
RENAMED=''
LOST=''
AUTHORITY='c97cb61b58b98aa9fd21ccebe45ad67f115bac34845bb3586002e8c95bf2d7d9'

<actions/change.sh>

files() {
<all of node/>
lay 0600 change stages <<'END_OF_FILE'
1 leave
END_OF_FILE
lay 0600 change 1.env <<'END_OF_FILE'
<node.env>
AIRSEED_CHANGE='001-leave-third'
AIRSEED_STAGE='1'
AIRSEED_STAGES='1'
AIRSEED_LAST='1'
AIRSEED_PLANES='first'
AIRSEED_COUNT='2'
AIRSEED_NODES=''
AIRSEED_COUNT_BEFORE='0'
AIRSEED_AT_ONCE='1'
AIRSEED_PULLS=''
AIRSEED_LEAVER='third'
AIRSEED_LEAVER_ADDRESSES='10.0.0.3'
AIRSEED_HELPER='first'
AIRSEED_HELPER_ADDRESS='10.0.0.1'
AIRSEED_SUCCESSOR=''
END_OF_FILE
lay 0600 change 1.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: "api.example.com:6443"
    token: uocha8.n37qfiwk29yz3d9o
    caCertHashes:
    - "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
  timeout: "5m0s"
controlPlane:
  localAPIEndpoint:
    advertiseAddress: "10.0.0.3"
    bindPort: 6443
  certificateKey: d59ff3c5c4fb171c957b6a11409a2f309e1223ca1736411264122c12c4685e04
nodeRegistration:
  name: third
  criSocket: /var/run/dockershim.sock
END_OF_FILE
lay 0600 change 1.d/hosts <<'END_OF_FILE'
10.0.0.3 third
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
