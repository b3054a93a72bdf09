-- The health of a DeviceFleet for Argo CD, from its conditions. See README.md two folders up.
local hs = { status = "Progressing", message = "Waiting for the operator to look at this fleet" }

local suspend = obj.spec ~= nil and obj.spec.suspend or nil
if suspend ~= nil and suspend ~= false then
  hs.status = "Suspended"
  hs.message = "Suspended by its manifest"
  if type(suspend) == "table" and suspend.reason ~= nil then
    hs.message = hs.message .. ": " .. suspend.reason
  end
  return hs
end
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
local generation = obj.metadata.generation
if generation ~= nil and obj.status.observedGeneration ~= generation then
  hs.message = "Waiting for generation " .. tostring(generation) .. " to be observed"
  return hs
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local function is_true(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end
local function said(name)
  return conditions[name].reason .. ": " .. conditions[name].message
end

if is_true("Stalled") then
  hs.status = "Degraded"
  hs.message = said("Stalled")
elseif is_true("Suspended") then
  hs.status = "Suspended"
  hs.message = said("Suspended")
elseif is_true("AwaitingApproval") then
  hs.status = "Suspended"
  hs.message = said("AwaitingApproval")
elseif is_true("Reconciling") then
  if conditions["Reconciling"].reason == "ProgressingWithRetry" then
    hs.status = "Degraded"
  end
  hs.message = said("Reconciling")
elseif is_true("Ready") then
  hs.status = "Healthy"
  hs.message = conditions["Ready"].message
elseif conditions["Ready"] ~= nil and conditions["Ready"].status == "False" then
  hs.status = "Degraded"
  hs.message = said("Ready")
end
return hs
