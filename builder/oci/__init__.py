"""A small OCI library: manifests with their bytes kept, logins, pulling, listing, image layout."""
