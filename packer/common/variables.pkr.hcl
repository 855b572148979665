# What is about the image; values that follow from the lock stand in airseed.auto.pkrvars.hcl.

variable "image_name" {
  type        = string
  description = "Name of the image: it carries the cluster, its releases and the digest of its lock."

  validation {
    condition     = length(var.image_name) > 0 && length(var.image_name) < 100
    error_message = "The image_name must have between 1 and 99 characters."
  }
}

variable "lock_digest" {
  type        = string
  description = "SHA-256 of cluster.lock, as hexadecimal digits."

  validation {
    condition     = length(var.lock_digest) == 64
    error_message = "The lock_digest must be 64 hexadecimal digits."
  }
}

variable "iso_urls" {
  type        = list(string)
  description = "Where the installation medium, or with disk_image the disk, may be had: URLs or files, tried in order."
}

variable "iso_checksum" {
  type        = string
  description = "sha256:HEX of that file; Packer refuses another one."

  validation {
    condition     = length(var.iso_checksum) == 71
    error_message = "The iso_checksum must be sha256: and 64 hexadecimal digits."
  }
}

variable "disk_image" {
  type        = bool
  description = "Start from a disk that has CentOS 7 and cloud-init on it (qemu) instead of an installation medium."
  default     = false
}

variable "kickstart" {
  type        = string
  description = "How the installer gets ks.cfg: cd and floppy need no network between guest and Packer, http does."
  default     = "cd"

  validation {
    condition     = var.kickstart == "cd" || var.kickstart == "floppy" || var.kickstart == "http"
    error_message = "The kickstart must be cd, floppy or http."
  }
}

variable "firmware" {
  type        = string
  description = "What the machine starts with: bios or efi."
  default     = "bios"

  validation {
    condition     = var.firmware == "bios" || var.firmware == "efi"
    error_message = "The firmware must be bios or efi."
  }
}

variable "bundle" {
  type        = string
  description = "The bundle's file on this machine, where it is uploaded or attached as a disk."
  default     = ""
}

variable "cpus" {
  type        = number
  description = "Processors of the machine that becomes the image."
  default     = 2
}

variable "memory" {
  type        = number
  description = "MiB of memory of that machine."
  default     = 4096
}

variable "disk_size" {
  type        = number
  description = "GiB of its disk; first boot lets the file system fill a larger one."
  default     = 40

  validation {
    condition     = var.disk_size >= 10
    error_message = "The disk_size must be at least 10 GiB."
  }
}

variable "ssh_username" {
  type        = string
  description = "Account that Packer logs in to; one that is not root needs sudo without a password."
  default     = "root"
}

variable "ssh_private_key_file" {
  type        = string
  description = "Private half of the key in ks.cfg and user-data; empty for Packer's own temporary key (OpenStack)."
  default     = ""
}

variable "ssh_timeout" {
  type        = string
  description = "How long the machine may take until it can be logged in to; software emulation is slow."
  default     = "45m"
}

variable "output_directory" {
  type        = string
  description = "Where the image's files and checksums go; Packer makes it."
  default     = "output"
}

variable "manifest" {
  type        = string
  description = "File that says what was made, and of which lock."
  default     = "manifest.json"
}

locals {
  kickstart_places = {
    cd     = "hd:LABEL=OEMDRV:/ks.cfg"
    floppy = "hd:fd0:/ks.cfg"
    http   = "http://{{ .HTTPIP }}:{{ .HTTPPort }}/ks.cfg"
  }
  installer_arguments = "inst.text inst.ks=${local.kickstart_places[var.kickstart]} net.ifnames=0 console=tty0 console=ttyS0,115200n8"
  boot_commands = {
    bios = ["<up><wait><tab> ${local.installer_arguments}<enter>"]
    efi  = ["<up><wait>e<wait><down><down><end> ${local.installer_arguments}<leftCtrlOn>x<leftCtrlOff>"]
  }
  boot_command = local.boot_commands[var.firmware]
  kickstart_cd = ["${path.root}/http/ks.cfg"]
  cloud_init_cd = [
    "${path.root}/cloud-init/user-data",
    "${path.root}/cloud-init/meta-data",
  ]
}
