// Drives the vendor's particle-api-js through the calls that fleet tools make, in one story, against a served emulator.
//
// Standard input: {"url": base, "token": token, "files": {name: path}, ...ids}; standard output: {call: result}, where a
// result is {status, body}, {bytes, sha256} of a download, or {error: {...}} as the client's own users see an error.
// The package is found by NODE_PATH. Virtual time stands still but for `advance`, which uses the control door.
const crypto = require('crypto');
const fs = require('fs');
const Particle = require('particle-api-js');

const asked = JSON.parse(fs.readFileSync(0, 'utf8'));
const { url, token: auth, files, own, spare, member, second, waiting, denied, platform } = asked;
const product = 'cold-chain';
const api = new Particle({ baseUrl: url });
const results = {};

function shown(result) {
    if (Buffer.isBuffer(result)) {
        return { bytes: result.length, sha256: crypto.createHash('sha256').update(result).digest('hex') };
    }
    return { status: result.statusCode, body: result.body };
}

async function call(name, promise) {
    try {
        const result = await promise;
        results[name] = shown(result);
        return result.body || result;
    } catch (error) {
        if (error.statusCode === undefined) {
            throw error;
        }
        const retryAfter = error.body && error.body.response ? error.body.response.headers.get('retry-after') : null;
        const { response, ...body } = error.body || {};
        results[name] = {
            error: { statusCode: error.statusCode, errorDescription: error.errorDescription,
                shortErrorDescription: error.shortErrorDescription, body, retryAfter }
        };
        return null;
    }
}

async function door(path, body) {
    const answer = await fetch(`${url}/_emulator/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) {
        throw new Error(await answer.text());
    }
}

const advance = (seconds) => door('clock', { advance_seconds: seconds });

async function tokens() {
    const username = 'operator@example.com';
    const body = await call('login', api.login({ username, password: 'secret', tokenDuration: 3600 }));
    await call('loginForEver', api.login({ username, password: 'secret', tokenDuration: 0 }));
    await call('loginWrong', api.login({ username, password: 'guess' }));
    let ticket;
    try {
        await api.login({ username: 'careful@example.com', password: 'secret' });
    } catch (error) {
        ticket = error.body.mfa_token;
        results.loginAsksForCode = { error: { statusCode: error.statusCode, body: { error: error.body.error } } };
    }
    await call('sendOtpWrong', api.sendOtp({ mfaToken: ticket, otp: '000000' }));
    const careful = await call('sendOtp', api.sendOtp({ mfaToken: ticket, otp: '123456' }));
    const robot = new Particle({ baseUrl: url, clientId: 'robot', clientSecret: 'wheels' });
    const owner = await call('loginAsClientOwner', robot.loginAsClientOwner());
    await call('loginAsUnknownClient', api.loginAsClientOwner());
    await call('listWithClientToken', api.listDevices({ auth: owner.access_token }));
    const current = { uri: '/v1/access_tokens/current', auth: body.access_token };
    await call('currentToken', api.get(current));
    await call('getUserInfo', api.getUserInfo({ auth: body.access_token }));
    await call('deleteCurrentAccessToken', api.deleteCurrentAccessToken({ auth: body.access_token }));
    await call('afterDeleteCurrent', api.get(current));
    await call('deleteAccessToken', api.deleteAccessToken({ token: owner.access_token }));
    await call('afterDeleteAccessToken', api.listDevices({ auth: owner.access_token }));
    await call('deleteActiveAccessTokens', api.deleteActiveAccessTokens({ auth: careful.access_token }));
    const brief = await api.login({ username, password: 'secret', tokenDuration: 60 });
    await advance(61);
    await call('afterExpiry', api.listDevices({ auth: brief.body.access_token }));
}

async function team() {
    const uri = `/v1/products/${product}/team`;
    const data = { friendly_name: 'Fleet robot', scopes: ['devices:list'] };
    const made = await call('createApiUser', api.post({ uri, auth, data }));
    const robot = made.created.tokens[0].token;
    await call('apiUserMay', api.listDevices({ product, auth: robot }));
    await call('apiUserMayNot', api.listProductFirmware({ product, auth: robot }));
    await call('apiUserElsewhere', api.listDevices({ product: 'other', auth: robot }));
    const user = `${uri}/${made.created.username}`;
    const scopes = ['devices:list', 'firmware:list'];
    const changed = await call('changeApiUser', api.put({ uri: user, auth, data: { scopes } }));
    await call('oldTokenOfApiUser', api.listDevices({ product, auth: robot }));
    const renewed = changed.updated.tokens[0].token;
    await call('newTokenOfApiUser', api.listProductFirmware({ product, auth: renewed }));
    await call('listTeamMembers', api.listTeamMembers({ product, auth }));
    await call('removeTeamMember', api.removeTeamMember({ username: made.created.username, product, auth }));
    await call('afterRemoveTeamMember', api.listDevices({ product, auth: renewed }));
    await call('createOrgUser', api.post({ uri: '/v1/orgs/acme/team', auth, data }));
}

async function devices() {
    await call('listOwnDevices', api.listDevices({ auth }));
    await call('listProductDevices', api.listDevices({ product, auth, perPage: 2, page: 2, sortAttr: 'deviceId', sortDir: 'asc' }));
    await call('listByName', api.listDevices({ product, auth, deviceName: 'cold-2' }));
    await call('listByGroups', api.listDevices({ product, auth, groups: ['us', 'lab'] }));
    await call('listById', api.listDevices({ product, auth, deviceId: member.slice(-6) }));
    await call('getOwnDevice', api.getDevice({ deviceId: own, auth }));
    await call('getProductDevice', api.getDevice({ deviceId: member, product, auth }));
    await call('getQuarantined', api.getDevice({ deviceId: waiting, product, auth }));
    await call('getMissing', api.getDevice({ deviceId: 'f'.repeat(24), auth }));
    await call('getWithoutToken', api.getDevice({ deviceId: own, auth: '0'.repeat(40) }));
    await call('ping', api.put({ uri: `/v1/products/${product}/devices/${member}/ping`, auth, data: {} }));
    await call('renameDevice', api.renameDevice({ deviceId: own, name: 'kitchen', auth }));
    await call('signalDevice', api.signalDevice({ deviceId: own, signal: true, auth }));
    await call('setDeviceNotes', api.setDeviceNotes({ deviceId: member, notes: 'roof', product, auth }));
    await call('lookupSerialNumber', api.lookupSerialNumber({ serialNumber: asked.serial, auth }));
    await call('markAsDevelopmentDevice', api.markAsDevelopmentDevice({ deviceId: second, product, auth }));
    await call('unmarkDevelopmentDevice', api.markAsDevelopmentDevice({ deviceId: second, development: false, product, auth }));
    const forced = { firmware_updates_forced: true };
    await call('forceUpdates', api.put({ uri: `/v1/products/${product}/devices/${second}`, auth, data: forced }));
    const several = { deviceId: member, name: 'cold-1b', notes: 'wall', product, auth };
    await call('updateDevice', api.updateDevice(several));
}

async function membership() {
    await call('addDeviceToProduct', api.addDeviceToProduct({ deviceId: spare, product, auth }));
    const listed = Buffer.from([spare, waiting, 'f'.repeat(24)].join('\n'));
    await call('addDevicesByFile', api.addDeviceToProduct({ file: listed, product, auth }));
    await call('removeDeviceFromProduct', api.removeDevice({ deviceId: spare, product, auth }));
    await call('denyDevice', api.removeDevice({ deviceId: denied, deny: true, product, auth }));
    await call('getDenied', api.getDevice({ deviceId: denied, product, auth }));
    await call('unclaimDevice', api.removeDevice({ deviceId: spare, auth }));
    await call('getUnclaimed', api.getDevice({ deviceId: spare, auth }));
    await call('claimDevice', api.claimDevice({ deviceId: spare, auth }));
    await call('getClaimed', api.getDevice({ deviceId: spare, auth }));
}

async function firmware() {
    const file = files.upload;
    await call('listProducts', api.listProducts({ auth }));
    await call('getProduct', api.getProduct({ product, auth }));
    const described = { version: 7, title: 'seven', description: 'the seventh' };
    await call('uploadProductFirmware', api.uploadProductFirmware({ file, ...described, product, auth }));
    await call('uploadAgain', api.uploadProductFirmware({ file, ...described, product, auth }));
    await call('listProductFirmware', api.listProductFirmware({ product, auth }));
    await call('updateProductFirmware', api.updateProductFirmware({ version: 7, title: 'lucky seven', product, auth }));
    await call('getProductFirmware', api.getProductFirmware({ version: 7, product, auth }));
    await call('downloadProductFirmware', api.downloadProductFirmware({ version: 7, product, auth }));
    const release = { version: 7, product_default: false, groups: ['us'], intelligent: true, product, auth };
    await call('releaseUntested', api.releaseProductFirmware(release));
    const lock = { deviceId: member, desiredFirmwareVersion: 7, flash: true, product, auth };
    await call('lockDeviceProductFirmware', api.lockDeviceProductFirmware(lock));
    await advance(600);
    await call('getLocked', api.getDevice({ deviceId: member, product, auth }));
    await call('impact', api.get({ uri: `/v1/products/${product}/impact`, auth, query: {
        action: 'edit_groups_for_firmware', firmware_version: 7, groups: 'us' } }));
    await call('releaseProductFirmware', api.releaseProductFirmware(release));
    await advance(600);
    await call('getReleased', api.getDevice({ deviceId: second, product, auth }));
    await call('unlockDeviceProductFirmware', api.unlockDeviceProductFirmware({ deviceId: member, product, auth }));
    const uri = `/v1/products/${product}/firmware`;
    await call('deleteReleased', api.delete({ uri: `${uri}/7`, auth }));
    await call('deleteProductFirmware', api.delete({ uri: `${uri}/1`, auth }));
    await call('getDeletedFirmware', api.getProductFirmware({ version: 1, product, auth }));
}

async function flashing() {
    const binary = { 'firmware.bin': files.module };
    await call('flashDevice', api.flashDevice({ deviceId: own, files: binary, auth }));
    await call('flashBusy', api.flashDevice({ deviceId: own, files: binary, auth }));
    await advance(600);
    await call('flashKnownApp', api.put({ uri: `/v1/devices/${own}`, auth, data: { app_id: 'tinker' } }));
    await advance(600);
    const source = { 'app.ino': files.source };
    await call('flashSource', api.flashDevice({ deviceId: own, files: source, targetVersion: '6.3.4', auth }));
    await advance(600);
    await door('devices', { id: own, online: false });
    await call('flashOffline', api.flashDevice({ deviceId: own, files: binary, auth }));
    await door('devices', { id: own, online: true });
    const target = { platformId: platform, targetVersion: '6.3.4', auth };
    const compiled = await call('compileCode', api.compileCode({ files: source, ...target }));
    await call('downloadFirmwareBinary', api.downloadFirmwareBinary({ binaryId: compiled.binary_id, auth }));
    await call('compileBroken', api.compileCode({ files: { 'app.ino': files.broken }, ...target }));
    await call('listBuildTargets', api.listBuildTargets({ onlyFeatured: true, auth }));
    await call('listDeviceOsVersions', api.listDeviceOsVersions({ platformId: platform, perPage: 5, page: 1, auth }));
    const found = await call('getDeviceOsVersion', api.getDeviceOsVersion({ version: 'latest', platformId: platform, auth }));
    await call('downloadFile', api.downloadFile({ uri: `${found.base_url}/${found.modules[0].filename}` }));
    await call('getDeviceOsMissing', api.getDeviceOsVersion({ version: '99.0.0', platformId: platform, auth }));
}

async function groups() {
    const uri = `/v1/products/${product}/groups`;
    await call('createGroup', api.post({ uri, auth, data: { name: 'asia', color: '#34495e', description: 'A' } }));
    await call('createGroupWrong', api.post({ uri, auth, data: { name: 'Far East' } }));
    const path = `/v1/products/${product}/devices`;
    const data = { action: 'groups', devices: [member, second], metadata: { add: ['asia'], remove: ['eu'] } };
    await call('batchGroups', api.put({ uri: path, auth, data }));
    await call('editGroup', api.put({ uri: `${uri}/asia`, auth, data: { name: 'far-east' } }));
    await call('listGroups', api.get({ uri, auth, query: { name: 'east' } }));
    await call('getGroup', api.get({ uri: `${uri}/far-east`, auth }));
    await call('assignGroups', api.put({ uri: `${path}/${member}`, auth, data: { groups: ['far-east', 'new'] } }));
    await call('deleteGroup', api.delete({ uri: `${uri}/far-east`, auth }));
    await call('getAfterDeleteGroup', api.getDevice({ deviceId: member, product, auth }));
}

async function diagnostics() {
    const uri = `/v1/products/${product}/diagnostics/${member}`;
    await call('vitalsBefore', api.get({ uri: `${uri}/last`, auth }));
    await call('refreshVitals', api.post({ uri: `${uri}/update`, auth, data: {} }));
    await advance(60);
    await call('lastVitals', api.get({ uri: `${uri}/last`, auth }));
    await call('allVitals', api.get({ uri, auth }));
    await call('vitalsMetadata', api.get({ uri: `${uri}/metadata`, auth }));
}

async function events() {
    const streams = {
        all: { name: 'spark/status' },
        mine: { deviceId: 'mine' },
        device: { deviceId: own, name: 'spark' },
        product: { product },
        productDevice: { product, deviceId: second, name: 'spark/status' },
        organisation: { org: 'acme' },
        nothing: { deviceId: 'mine', name: 'weather' }
    };
    const heard = {};
    const open = [];
    for (const [name, where] of Object.entries(streams)) {
        const stream = await api.getEventStream({ ...where, auth });
        heard[name] = [];
        stream.on('event', (event) => heard[name].push(event));
        open.push(stream);
    }
    for (const id of [own, member, second]) {
        await door('devices', { id, online: false });
    }
    await call('publishEvent', api.publishEvent({ name: 'weather-report', data: 'rain', isPrivate: true, product, auth }));
    await call('publishOwnEvent', api.publishEvent({ name: 'weather', data: 'sun', isPrivate: true, auth }));
    const enough = () => heard.nothing.length === 1 && heard.product.length >= 3 && heard.organisation.length >= 3;
    for (let waited = 0; !enough() && waited < 5000; waited += 20) {
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    open.forEach((stream) => stream.abort());
    results.events = heard;
    try {
        await api.getEventStream({ auth });
    } catch (error) {
        results.eventsWithoutPrefix = { error: { statusCode: error.statusCode, body: error.body } };
    }
}

async function limits() {
    const limited = new Particle({ baseUrl: asked.limited });
    const login = () => limited.login({ username: 'operator@example.com', password: 'operator' });
    await login();
    await call('tooManyTokens', login());
    const stream = await limited.getEventStream({ deviceId: 'mine', auth });
    try {
        await limited.getEventStream({ deviceId: 'mine', auth });
    } catch (error) {
        results.tooManyStreams = { error: { statusCode: error.statusCode, body: error.body } };
    }
    stream.abort();
    await call('lastRequest', limited.listDevices({ auth }));
    await call('tooManyRequests', limited.listDevices({ auth }));
}

async function main() {
    for (const part of [devices, membership, firmware, flashing, groups, diagnostics, events, team, tokens, limits]) {
        await part();
    }
    // The client's timers outlive its streams by 15 seconds, so the end is not left to them.
    process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

main().catch((error) => {
    process.stderr.write(`${error.stack || JSON.stringify(error)}\n`);
    process.exit(1);
});
