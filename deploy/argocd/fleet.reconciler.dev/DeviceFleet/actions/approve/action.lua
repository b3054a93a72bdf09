-- Approve the very plan that waits: its id is bound to a digest, and to nothing that comes later.
if obj.status == nil or obj.status.plan == nil then
  error("there is no plan that waits for an approval")
end
obj.spec.approvePlan = obj.status.plan.id
return obj
