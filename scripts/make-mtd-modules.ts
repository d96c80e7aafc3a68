/**
 * Builds the drivers of CFI flash for the kernel of the Debian disk, out of Debian's sources: its arm64 kernels leave them
 * out. Installs nothing.
 *
 * `mtdModules` makes them in the cache when they aren't there: 160 MiB to download, a minute of a compiler.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync,
  writeFileSync,
} from 'node:fs'; // prettier-ignore
import { join } from 'node:path';

import { PackageCache, unpackPackage } from './apt.js';
import { guestCache } from './fetch-guests.js';
import { makeInCache, missingTools, type Progress } from './make-in-cache.js';

const WHAT = 'drivers of CFI flash';
const SERIES = '6.1';
const TOOLS = { make: 'make', 'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu', xz: 'xz-utils' };

/** In the order in which they are loaded. */
export const MTD_MODULES = ['cfi_util', 'cfi_cmdset_0001', 'gen_probe', 'cfi_probe', 'physmap'] as const;

/** The options that Debian has off, as modules. */
const KBUILD = `obj-m := ${MTD_MODULES.map((name) => `${name}.o`).join(' ')}
physmap-y := physmap-core.o
ccflags-y := -DCONFIG_MTD_CFI_MODULE=1 -DCONFIG_MTD_GEN_PROBE_MODULE=1 -DCONFIG_MTD_CFI_UTIL_MODULE=1 \\
  -DCONFIG_MTD_CFI_INTELEXT_MODULE=1 -DCONFIG_MTD_PHYSMAP_MODULE=1 -DCONFIG_MTD_PHYSMAP_OF=1
`;

const folderOf = (version: string): string => join(guestCache(), 'mtd-modules', version);

/** The folder with the modules for a kernel (`6.1.0-56-arm64`), undefined where they have not been made. */
export function mtdModules(version: string): string | undefined {
  return existsSync(folderOf(version)) ? folderOf(version) : undefined;
}

/** Makes them if they aren't there. Returns why they can't be, one line each. */
export async function makeMtdModules(version: string): Promise<string[]> {
  if (mtdModules(version) !== undefined) return [];
  const problems = missingTools(WHAT, TOOLS);
  return problems.length > 0
    ? problems
    : makeInCache(WHAT, join(guestCache(), 'mtd-modules'), (work, progress) =>
        build(work, progress, version),
      );
}

// eslint-disable-next-line @typescript-eslint/require-await -- `makeInCache` takes what may wait
async function build(work: string, progress: Progress, version: string): Promise<void> {
  progress.step(`${WHAT}: fetching packages`);
  const abi = version.replace(/-arm64$/, '');
  const names = [`linux-headers-${version}`, `linux-headers-${abi}-common`, `linux-source-${SERIES}`];
  const archives = new PackageCache(guestCache()).fetch(names);
  const root = join(work, 'root');
  // What runs here is of this machine's architecture.
  unpackPackage(`linux-kbuild-${SERIES}`, work, guestCache());
  for (const archive of archives.filter((path) => names.some((name) => path.includes(`/${name}_`)))) {
    run('dpkg-deb', ['-x', archive, root], work);
  }

  progress.step(`${WHAT}: building them`);
  const headers = join(root, 'usr/src', `linux-headers-${version}`);
  const common = join(root, 'usr/src', `linux-headers-${abi}-common`);
  // The packages refer to each other by absolute paths.
  const makefile = join(headers, 'Makefile');
  writeFileSync(makefile, readFileSync(makefile, 'utf8').replaceAll('/usr/src/', `${root}/usr/src/`));
  for (const folder of [headers, common]) relocateLinks(folder, root);
  const modules = join(work, 'modules');
  mkdirSync(modules);
  const sources = join(root, `usr/src/linux-source-${SERIES}.tar.xz`);
  const drivers = [`linux-source-${SERIES}/drivers/mtd/chips`, `linux-source-${SERIES}/drivers/mtd/maps`];
  run('tar', ['-xJf', sources, '--strip-components=4', ...drivers], modules);
  for (const name of ['Makefile', 'Kconfig']) rmSync(join(modules, name), { force: true });
  writeFileSync(join(modules, 'Kbuild'), KBUILD);
  run(
    'make',
    ['-C', headers, `M=${modules}`, 'ARCH=arm64', 'CROSS_COMPILE=aarch64-linux-gnu-', 'modules'],
    work,
  );
  const ready = join(work, 'ready');
  mkdirSync(ready);
  for (const name of MTD_MODULES) {
    run('aarch64-linux-gnu-strip', ['--strip-debug', join(modules, `${name}.ko`)], work);
    copyFileSync(join(modules, `${name}.ko`), join(ready, `${name}.ko`));
  }
  renameSync(ready, folderOf(version));
}

/** Makes links that lead into `/usr` lead into the `usr` of `root`. */
function relocateLinks(folder: string, root: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue;
    const path = join(folder, entry.name);
    const target = readlinkSync(path).replace(/^(\/|(\.\.\/)+)(usr\/)?(?=lib\/)/, `${root}/usr/`);
    rmSync(path);
    symlinkSync(target, path);
  }
}

function run(program: string, args: readonly string[], cwd: string): void {
  const { error, status, stderr } = spawnSync('nice', ['-n', '10', program, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program}: ${stderr.trim().split('\n').at(-1)}`);
}
