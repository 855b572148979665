variable "vcenter_server" {
  type        = string
  description = "Name or address of vCenter; VSPHERE_SERVER in the environment does, too."
  default     = env("VSPHERE_SERVER")
}

variable "vcenter_username" {
  type        = string
  description = "Who logs in there; VSPHERE_USER in the environment does, too."
  default     = env("VSPHERE_USER")
}

variable "vcenter_password" {
  type        = string
  description = "The password; VSPHERE_PASSWORD in the environment does, too."
  default     = env("VSPHERE_PASSWORD")
  sensitive   = true
}

variable "vcenter_insecure" {
  type        = bool
  description = "Whether a certificate that nobody vouches for will do."
  default     = false
}

variable "vsphere_datacenter" {
  type        = string
  description = "Datacenter of the machine."
  default     = ""
}

variable "vsphere_cluster" {
  type        = string
  description = "Cluster that the machine runs in."
  default     = ""
}

variable "vsphere_host" {
  type        = string
  description = "Host that it runs on, where there is no cluster."
  default     = ""
}

variable "vsphere_datastore" {
  type        = string
  description = "Datastore of its files."
  default     = ""
}

variable "vsphere_folder" {
  type        = string
  description = "Folder of the template."
  default     = ""
}

variable "vsphere_network" {
  type        = string
  description = "Network of its card."
  default     = "VM Network"
}
