"""A small OCI library: manifests with their bytes kept, auth, registry client, image layout."""
