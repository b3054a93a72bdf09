// Downloads every module of the served Device OS catalogue once, and reads it with the vendor's binary-version-reader.
//
// Standard input: {"url": base, "token": token, "platforms": [ids]}; standard output: {"releases": number, "modules":
// [[what the catalogue says, what the reader reads]]}. The package is found by NODE_PATH.
const fs = require('fs');
const { HalModuleParser } = require('binary-version-reader');

const { url, token, platforms } = JSON.parse(fs.readFileSync(0, 'utf8'));

async function ask(path) {
    const answer = await fetch(url + path, { headers: { Authorization: `Bearer ${token}` } });
    if (!answer.ok) {
        throw new Error(`${path}: ${answer.status}`);
    }
    return answer.json();
}

async function download(address) {
    const answer = await fetch(address);
    return Buffer.from(await answer.arrayBuffer());
}

async function main() {
    const modules = [];
    let releases = 0;
    for (const platform of platforms) {
        const seen = new Set();
        const { versions } = await ask(`/v1/device-os/versions?platform_id=${platform}&per_page=1000`);
        for (const { version } of versions) {
            releases += 1;
            const release = await ask(`/v1/device-os/versions/${version}?platform_id=${platform}`);
            for (const told of release.modules) {
                const { moduleFunction, moduleIndex, moduleVersion } = told.prefixInfo;
                const name = `${moduleFunction} ${moduleIndex} ${moduleVersion}`;
                if (!seen.has(name)) {
                    seen.add(name);
                    const fileBuffer = await download(`${release.base_url}/${told.filename}`);
                    const { crc, prefixInfo, suffixInfo } = await new HalModuleParser().parseBuffer({ fileBuffer });
                    modules.push([told, { crc, prefixInfo, suffixInfo }]);
                }
            }
        }
    }
    process.stdout.write(JSON.stringify({ releases, modules }));
}

main().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
