"""`reconciler usb`: devices on this machine's USB."""
