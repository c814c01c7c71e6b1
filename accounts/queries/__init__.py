"""Every read of people's rows for operations; what a person may see is up to `access`."""
