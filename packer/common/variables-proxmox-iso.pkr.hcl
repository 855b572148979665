variable "proxmox_url" {
  type        = string
  description = "https://HOST:8006/api2/json; PROXMOX_URL in the environment does, too."
  default     = env("PROXMOX_URL")
}

variable "proxmox_username" {
  type        = string
  description = "USER@REALM, or USER@REALM!TOKEN with a token; PROXMOX_USERNAME in the environment does, too."
  default     = env("PROXMOX_USERNAME")
}

variable "proxmox_password" {
  type        = string
  description = "The password; PROXMOX_PASSWORD in the environment does, too."
  default     = env("PROXMOX_PASSWORD")
  sensitive   = true
}

variable "proxmox_insecure" {
  type        = bool
  description = "Whether a certificate that nobody vouches for will do."
  default     = false
}

variable "proxmox_node" {
  type        = string
  description = "Node that the machine runs on."
  default     = "pve"
}

variable "proxmox_bridge" {
  type        = string
  description = "Bridge of its card."
  default     = "vmbr0"
}

variable "proxmox_storage" {
  type        = string
  description = "Storage of its disk."
  default     = "local-lvm"
}

variable "proxmox_storage_type" {
  type        = string
  description = "Kind of that storage, which the 1.6 line of Packer asks for."
  default     = "lvm-thin"
}

variable "proxmox_iso_storage" {
  type        = string
  description = "Storage that takes the installation medium and the small CD."
  default     = "local"
}
