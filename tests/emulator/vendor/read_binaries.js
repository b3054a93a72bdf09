// Reads module files with the vendor's binary-version-reader and prints what it finds, one JSON list.
//
// Standard input: {"files": [paths], "compressed": [paths], "combined": [paths]}; the package is found by NODE_PATH.
const crypto = require('crypto');
const fs = require('fs');
const { HalModuleParser, decompressModule, splitCombinedModules } = require('binary-version-reader');

const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');

async function read(path) {
    const { crc, prefixInfo, suffixInfo } = await new HalModuleParser().parseFile(path);
    return { crc, prefixInfo, suffixInfo };
}

async function main() {
    const asked = JSON.parse(fs.readFileSync(0, 'utf8'));
    const files = [];
    for (const path of asked.files) {
        files.push(await read(path));
    }
    const unpacked = [];
    for (const path of asked.compressed) {
        unpacked.push(sha256(await decompressModule(fs.readFileSync(path))));
    }
    const parts = [];
    for (const path of asked.combined) {
        parts.push((await splitCombinedModules(fs.readFileSync(path))).map(sha256));
    }
    process.stdout.write(JSON.stringify({ files, unpacked, parts }));
}

main().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
