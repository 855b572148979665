variable "accelerator" {
  type        = string
  description = "What qemu runs the machine with: kvm, hvf, or tcg, which is software and slow."
  default     = "kvm"
}

variable "headless" {
  type        = bool
  description = "Whether the machine's screen stays hidden."
  default     = true
}

variable "console_log" {
  type        = string
  description = "File that gets what the machine says on its serial console."
  default     = "console.log"
}

variable "efi_code" {
  type        = string
  description = "UEFI firmware, as a file of this machine."
  default     = "/usr/share/OVMF/OVMF_CODE.fd"
}

variable "efi_vars" {
  type        = string
  description = "Empty UEFI variables, as a file of this machine."
  default     = "/usr/share/OVMF/OVMF_VARS.fd"
}
