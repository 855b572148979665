# By airseed packer, from cluster.yaml and its lock; it is made anew by every run.

image_name   = "kubernetes-k8s-1.18.5-centos-7.6-10ab31347cb7"
lock_digest  = "10ab31347cb7b3a52d838420779a378fead3ce117f0363aa800bfc222132a635"
iso_urls     = ["https://archive.kernel.org/centos-vault/7.6.1810/isos/x86_64/CentOS-7-x86_64-Minimal-1810.iso", "https://vault.centos.org/7.6.1810/isos/x86_64/CentOS-7-x86_64-Minimal-1810.iso"]
iso_checksum = "sha256:38d5d51d9d100fd73df031ffd6bd8b1297ce24660dc8c13a3b8b4534a4bd291c"
