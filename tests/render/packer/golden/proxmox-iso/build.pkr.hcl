# One machine by each builder, the same work on all of them.

build {
  name    = "airseed"
  sources = ["source.proxmox-iso.node"]

  # what the guest needs: airseed's scripts, their values, the checks
  provisioner "file" {
    source      = "${path.root}/guest"
    destination = "/tmp"
  }

  # a failure says what the guest itself says: step, message, hint
  provisioner "shell" {
    execute_command = "sudo -n env {{ .Vars }} bash {{ .Path }}"
    scripts = [
      "${path.root}/scripts/bake.sh",
      "${path.root}/scripts/seal.sh",
    ]
  }

  post-processor "manifest" {
    output     = var.manifest
    strip_path = true
    custom_data = {
      lock = "sha256:${var.lock_digest}"
    }
  }
}
