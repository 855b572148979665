source "vsphere-iso" "node" {
  vcenter_server      = var.vcenter_server
  username            = var.vcenter_username
  password            = var.vcenter_password
  insecure_connection = var.vcenter_insecure

  datacenter = var.vsphere_datacenter
  cluster    = var.vsphere_cluster
  host       = var.vsphere_host
  datastore  = var.vsphere_datastore
  folder     = var.vsphere_folder

  vm_name              = var.image_name
  notes                = "airseed image of the lock ${var.lock_digest}"
  guest_os_type        = "centos7_64Guest"
  firmware             = var.firmware
  CPUs                 = var.cpus
  RAM                  = var.memory
  disk_controller_type = ["pvscsi"]

  storage {
    disk_size             = var.disk_size * 1024
    disk_thin_provisioned = true
  }

  network_adapters {
    network      = var.vsphere_network
    network_card = "vmxnet3"
  }

  iso_urls     = var.iso_urls
  iso_checksum = var.iso_checksum

  boot_wait      = "10s"
  boot_command   = local.boot_command
  http_directory = "${path.root}/http"
  cd_files       = var.kickstart == "cd" ? local.kickstart_cd : []
  cd_label       = "OEMDRV"
  floppy_files   = var.kickstart == "floppy" ? local.kickstart_cd : []

  ssh_username         = var.ssh_username
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = var.ssh_timeout
  shutdown_command     = "sudo -n systemctl poweroff"

  convert_to_template = true
}
