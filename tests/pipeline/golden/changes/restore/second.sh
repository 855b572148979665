#!/bin/bash
# second's part in the change 001-restore of the cluster kubernetes. It has secrets of this machine in it.
CHANGE='001-restore'
DIGEST='c8b638f729f91d1ec8210eaef727552db752be25fcaf5258a1aefc858c8313c6'
CLUSTER='kubernetes'
NODE='second'
RENAMED=''
LOST='1'
AUTHORITY='c97cb61b58b98aa9fd21ccebe45ad67f115bac34845bb3586002e8c95bf2d7d9'

<actions/change.sh>

files() {
<all of node/>
lay 0600 change stages <<'END_OF_FILE'
1 restore
END_OF_FILE
lay 0600 change 1.env <<'END_OF_FILE'
<node.env>
AIRSEED_CHANGE='001-restore'
AIRSEED_STAGE='1'
AIRSEED_STAGES='1'
AIRSEED_LAST='1'
AIRSEED_PLANES='first second third'
AIRSEED_COUNT='5'
AIRSEED_NODES=''
AIRSEED_COUNT_BEFORE='0'
AIRSEED_AT_ONCE='1'
AIRSEED_PULLS=''
AIRSEED_SNAPSHOT='20261130T010203Z-first.db'
AIRSEED_SNAPSHOT_SUM='b0110b61bea9740897a739c89b1629786e0fa99ed3375c3ac4dede3930a18de4'
AIRSEED_SNAPSHOT_KEYS_SUM='48a53f0774c8ceff574a1fdcb0d470dbd382b3db273cff4344b6d39d5379c923'
END_OF_FILE
lay 0600 change 1.yaml <<'END_OF_FILE'
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: "api.example.com:6443"
    token: t00n8c.fu6wwx1x21t0yo5b
    caCertHashes:
    - "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
  timeout: "5m0s"
controlPlane:
  localAPIEndpoint:
    advertiseAddress: "10.0.0.2"
    bindPort: 6443
  certificateKey: b77715136a86225674278b9c635dcceac2510ffa430da5262d1788e4751e4195
nodeRegistration:
  name: second
  criSocket: /var/run/dockershim.sock
END_OF_FILE
lay 0600 change 1.d/hosts <<'END_OF_FILE'
10.0.0.2 second
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
