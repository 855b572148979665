packer {
  required_version = ">= 1.7.0"

  required_plugins {
    vsphere = {
      source  = "github.com/hashicorp/vsphere"
      version = "2.0.0"
    }
  }
}
