-- Nothing new starts in the fleet until it is resumed.
obj.spec.suspend = { reason = "suspended in Argo CD" }
return obj
