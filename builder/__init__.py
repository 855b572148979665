"""airseed: one cluster.yaml in, an offline Kubernetes cluster out."""
