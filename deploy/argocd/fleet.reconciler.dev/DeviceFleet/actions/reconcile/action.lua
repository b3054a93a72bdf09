-- Ask for a look at the fleet's product at once.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["fleet.reconciler.dev/reconcile-requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
