source "openstack" "node" {
  cloud             = var.openstack_cloud
  image_name        = var.image_name
  source_image_name = var.openstack_source_image
  flavor            = var.openstack_flavor
  networks          = var.openstack_networks
  security_groups   = var.openstack_security_groups
  config_drive      = true

  metadata = {
    airseed_lock        = var.lock_digest
    hw_qemu_guest_agent = "yes"
    os_distro           = "centos"
  }

  ssh_username = var.openstack_ssh_username
  ssh_timeout  = var.ssh_timeout
}
