// The vendor's own client drives a device on the pretend bus: JSON in (the module for normal mode, the one for DFU and its
// address, all in hexadecimal), JSON out (what it saw). It reads what was written back with its own code.
'use strict';
const usb = require('particle-usb');

async function open(options) {
	for (let left = 100; left > 0; left--) {
		try {
			const [device] = await usb.getDevices({ includeDfu: true });
			if (device && device.isInDfuMode === options.dfu) {
				await device.open();
				return device;
			}
		} catch (error) {
			if (left === 1) {
				throw error;
			}
		}
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	throw new Error(`no device with dfu = ${options.dfu}`);
}

async function main(question) {
	const seen = {};
	let device = await open({ dfu: false });
	seen.type = device.type;
	seen.id = device.id;
	seen.names = [await device.getDeviceId(), await device.getSerialNumber(), device.firmwareVersion];
	seen.before = (await device.getFirmwareModuleInfo()).map((each) => `${each.type} ${each.index} ${each.version}`).sort();
	seen.modes = [await device.getDeviceMode()];
	await device.enterListeningMode();
	seen.modes.push(await device.getDeviceMode());
	await device.leaveListeningMode();
	seen.modes.push(await device.getDeviceMode());
	seen.cloud = (await device.getCloudConnectionStatus()).toString();
	try {
		await device.updateFirmware(Buffer.from(question.refused, 'hex'));
		seen.refused = 'taken';
	} catch (error) {
		seen.refused = error.message;
	}
	await device.updateFirmware(Buffer.from(question.normal, 'hex'));
	await device.close();
	await new Promise((resolve) => setTimeout(resolve, 300));
	device = await open({ dfu: false });
	seen.after = (await device.getFirmwareModuleInfo()).map((each) => `${each.type} ${each.index} ${each.version}`).sort();
	await device.enterDfuMode({ noReconnectWait: true });
	await device.close();
	device = await open({ dfu: true });
	seen.protected = await device.getProtectionState();
	const content = Buffer.from(question.dfu, 'hex');
	await device.writeOverDfu(content, { altSetting: 0, startAddr: question.address });
	await device.reset();
	await device.close();
	device = await open({ dfu: false });
	seen.version = device.firmwareVersion;
	// Its reading wants a bootloader that has not just written: it clears a status where there is none, which stalls.
	await device.enterDfuMode({ noReconnectWait: true });
	await device.close();
	device = await open({ dfu: true });
	const back = await device.readOverDfu({ altSetting: 0, startAddr: question.address, size: content.length });
	seen.same = Buffer.compare(back, content) === 0;
	await device.close();
	return seen;
}

let text = '';
process.stdin.on('data', (part) => (text += part)).on('end', () => {
	main(JSON.parse(text)).then(
		(seen) => {
			process.stdout.write(JSON.stringify(seen) + '\n');
			process.exit(0);
		},
		(error) => {
			process.stderr.write(`${error.stack}\n`);
			process.exit(1);
		}
	);
});
