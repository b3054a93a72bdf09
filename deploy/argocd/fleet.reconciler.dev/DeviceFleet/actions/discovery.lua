-- Which actions Argo CD offers for a DeviceFleet, and which of them may be used now.
local suspend = obj.spec ~= nil and obj.spec.suspend or nil
local is_suspended = suspend ~= nil and suspend ~= false
local plan = obj.status ~= nil and obj.status.plan or nil
local is_asked = plan ~= nil and plan.approved == false

return {
  ["reconcile"] = { ["iconClass"] = "fa fa-sync" },
  ["suspend"] = { ["iconClass"] = "fa fa-pause", ["disabled"] = is_suspended },
  ["resume"] = { ["iconClass"] = "fa fa-play", ["disabled"] = not is_suspended },
  ["approve"] = { ["iconClass"] = "fa fa-check", ["disabled"] = not is_asked },
}
