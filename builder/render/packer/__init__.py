"""The folder that ``packer build`` takes: templates, values, kickstart, and what the guest gets."""
