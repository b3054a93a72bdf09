-- End a suspension that stands in the manifest.
obj.spec.suspend = nil
return obj
