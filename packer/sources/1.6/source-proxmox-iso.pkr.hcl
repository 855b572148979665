# This line makes no CD beside the medium: the guest fetches ks.cfg by HTTP.
source "proxmox-iso" "node" {
  proxmox_url              = var.proxmox_url
  username                 = var.proxmox_username
  password                 = var.proxmox_password
  insecure_skip_tls_verify = var.proxmox_insecure
  node                     = var.proxmox_node

  vm_name              = var.image_name
  template_name        = var.image_name
  template_description = "airseed image of the lock ${var.lock_digest}"
  os                   = "l26"
  cores                = var.cpus
  memory               = var.memory
  scsi_controller      = "virtio-scsi-pci"
  qemu_agent           = true

  disks {
    type              = "scsi"
    storage_pool      = var.proxmox_storage
    storage_pool_type = var.proxmox_storage_type
    disk_size         = "${var.disk_size}G"
    format            = "raw"
  }

  network_adapters {
    model  = "virtio"
    bridge = var.proxmox_bridge
  }

  iso_url          = var.iso_urls[0]
  iso_checksum     = var.iso_checksum
  iso_storage_pool = var.proxmox_iso_storage
  unmount_iso      = true

  boot_wait      = "10s"
  boot_command   = [replace(local.boot_command[0], local.kickstart_places[var.kickstart], local.kickstart_places["http"])]
  http_directory = "${path.root}/http"

  ssh_username         = var.ssh_username
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = var.ssh_timeout
}
