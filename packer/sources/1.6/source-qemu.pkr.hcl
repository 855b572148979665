# qemu ends a value by a comma, and takes two of them for one
locals {
  qemu_console = [
    ["-chardev", "file,id=console,path=${var.console_log}"],
    ["-serial", "chardev:console"],
  ]
  qemu_bundle = [
    ["-device", "virtio-net,netdev=user.0"],
    ["-blockdev", "driver=raw,node-name=bundle,read-only=on,file.driver=file,file.filename=${replace(var.bundle, ",", ",,")}"],
    ["-device", "virtio-blk-pci,drive=bundle,addr=0x1e"],
  ]
}

source "qemu" "node" {
  vm_name          = "${var.image_name}.qcow2"
  output_directory = var.output_directory
  format           = "qcow2"
  accelerator      = var.accelerator
  headless         = var.headless

  iso_urls     = var.iso_urls
  iso_checksum = var.iso_checksum
  disk_image   = var.disk_image

  cpus           = var.cpus
  memory         = var.memory
  disk_size      = "${var.disk_size}G"
  disk_interface = "virtio"
  disk_discard   = "unmap"
  net_device     = "virtio-net"

  boot_wait      = "5s"
  boot_command   = var.disk_image ? [] : local.boot_command
  http_directory = "${path.root}/http"
  cd_files       = var.disk_image ? local.cloud_init_cd : (var.kickstart == "cd" ? local.kickstart_cd : [])
  cd_label       = var.disk_image ? "cidata" : "OEMDRV"
  floppy_files   = var.disk_image ? [] : (var.kickstart == "floppy" ? local.kickstart_cd : [])

  ssh_username         = var.ssh_username
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = var.ssh_timeout
  shutdown_command     = "sudo -n systemctl poweroff"

  # the bundle as a raw disk, where there is one to attach
  qemuargs = concat(local.qemu_console, var.bundle == "" ? [] : local.qemu_bundle)
}
