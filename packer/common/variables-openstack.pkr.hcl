# Who logs in is said by the usual OS_ variables of the environment, or by clouds.yaml.

variable "openstack_cloud" {
  type        = string
  description = "Entry of clouds.yaml; empty for the OS_ variables of the environment."
  default     = ""
}

variable "openstack_source_image" {
  type        = string
  description = "Name of a CentOS 7 cloud image that glance has already."

  validation {
    condition     = length(var.openstack_source_image) > 0
    error_message = "The openstack_source_image must name an image: openstack image list."
  }
}

variable "openstack_flavor" {
  type        = string
  description = "Flavor of the machine that becomes the image."
}

variable "openstack_networks" {
  type        = list(string)
  description = "UUIDs of its networks."
  default     = []
}

variable "openstack_security_groups" {
  type        = list(string)
  description = "Security groups that let Packer's SSH in."
  default     = []
}

variable "openstack_ssh_username" {
  type        = string
  description = "Account of the source image that gets Packer's key."
  default     = "centos"
}
