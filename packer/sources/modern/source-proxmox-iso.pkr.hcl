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
  bios                 = var.firmware == "efi" ? "ovmf" : "seabios"
  cores                = var.cpus
  memory               = var.memory
  scsi_controller      = "virtio-scsi-pci"
  qemu_agent           = true

  disks {
    type         = "scsi"
    storage_pool = var.proxmox_storage
    disk_size    = "${var.disk_size}G"
    discard      = true
  }

  network_adapters {
    model  = "virtio"
    bridge = var.proxmox_bridge
  }

  boot_iso {
    iso_urls         = var.iso_urls
    iso_checksum     = var.iso_checksum
    iso_storage_pool = var.proxmox_iso_storage
    unmount          = true
  }

  additional_iso_files {
    cd_files         = local.kickstart_cd
    cd_label         = "OEMDRV"
    iso_storage_pool = var.proxmox_iso_storage
    unmount          = true
  }

  boot_wait      = "10s"
  boot_command   = local.boot_command
  http_directory = "${path.root}/http"

  ssh_username         = var.ssh_username
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = var.ssh_timeout
}
