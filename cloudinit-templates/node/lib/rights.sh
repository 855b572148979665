#!/bin/bash
# What nodes may do while a change is under way. Sourced.
# seed: none has it; the script of a change brings it

need kubeadm

# Let nodes act as the account of changes, and read what draining asks for; the account may take both
# back. RBAC asks nobody who takes rights away whether he has them.
grant_rights() {
    as_admin get namespace airseed -o name >/dev/null 2>&1 || as_admin create namespace airseed
    as_admin apply -f - <<YAML
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: change
  namespace: airseed
rules:
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, update, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [rolebindings]
  resourceNames: [change-nodes]
  verbs: [delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: change
  namespace: airseed
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: change
subjects:
- kind: ServiceAccount
  name: change
  namespace: airseed
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: change-nodes
  namespace: airseed
rules:
- apiGroups: [""]
  resources: [serviceaccounts]
  resourceNames: [change]
  verbs: [impersonate]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: change-nodes
  namespace: airseed
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: change-nodes
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: system:nodes
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: airseed:change
rules:
- apiGroups: [apps]
  resources: [daemonsets]
  verbs: [get, list]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [clusterrolebindings]
  resourceNames: [airseed:change]
  verbs: [delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: airseed:change
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: airseed:change
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: system:nodes
- kind: ServiceAccount
  name: change
  namespace: airseed
YAML
}

# Tell whether both bindings are there: of the two that are taken back, either may be left.
have_rights() { as_admin -n airseed get clusterrolebinding/airseed:change rolebinding/change-nodes -o name >/dev/null 2>&1; }
