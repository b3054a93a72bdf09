-- Approve the very plan that waits: its id is bound to a digest, and to nothing that comes later.
if obj.status == nil or obj.status.plan == nil then
  error("there is no plan that waits for an approval")
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["fleet.reconciler.dev/approve-plan"] = obj.status.plan.id
return obj
