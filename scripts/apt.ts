/** Debian packages without root: downloaded by name, unpacked, never installed. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Downloads a package into the folder `into` and unpacks it there, into `root`; `cache` is where package lists of our
 * own are kept. Returns the name of the archive.
 */
export function unpackPackage(
  packageName: string,
  into: string,
  cache: string,
  architecture?: 'arm64',
): string {
  downloadPackage(packageName, into, cache, architecture);
  const archive = readdirSync(into).find((name) => name.endsWith('.deb'));
  if (archive === undefined) throw new Error('apt-get left no package file');
  run('dpkg-deb', ['-x', join(into, archive), join(into, 'root')], into);
  return decodeURIComponent(archive);
}

/**
 * `apt-get download`, with the machine's package lists or, where those are missing, stale or of another architecture,
 * with our own.
 */
function downloadPackage(
  packageName: string,
  into: string,
  cache: string,
  architecture: 'arm64' | undefined,
): void {
  if (architecture === undefined) {
    try {
      run('apt-get', [...downloadOptions(), 'download', packageName], into);
      return;
    } catch {
      // Falls through to lists of our own.
    }
  }
  const options = ownLists(cache, architecture);
  run('apt-get', [...options, 'update'], into);
  run('apt-get', [...options, 'download', packageName], into);
}

function downloadOptions(): string[] {
  const options = ['-q', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30'];
  // As root, apt would switch to a user who may not write here, and warn.
  if (process.geteuid?.() === 0) options.push('-o', 'APT::Sandbox::User=root');
  return options;
}

/** Options that keep everything apt writes in a folder of `cache`; there, nothing is installed. */
function ownLists(cache: string, architecture: 'arm64' | undefined): string[] {
  const apt = join(cache, architecture === undefined ? 'apt' : `apt-${architecture}`);
  mkdirSync(join(apt, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(apt, 'archives', 'partial'), { recursive: true });
  const options = [
    ...downloadOptions(),
    ...['-o', `Dir::State::Lists=${join(apt, 'lists')}`],
    ...['-o', `Dir::Cache=${apt}`, '-o', `Dir::Cache::Archives=${join(apt, 'archives')}`],
    // A post-update hook of the distribution would need root.
    ...['-o', 'APT::Update::Post-Invoke-Success::=true', '-o', 'APT::Update::Post-Invoke::=true'],
  ];
  if (architecture === undefined) {
    // Without it, an unreachable archive is only a warning, and the download's complaint misleads.
    options.push('-o', 'APT::Update::Error-Mode=any');
  } else {
    // Not every archive that this host uses need have that architecture.
    const status = join(apt, 'status');
    writeFileSync(status, '');
    options.push(
      ...['-o', `APT::Architecture=${architecture}`, '-o', `APT::Architectures::=${architecture}`],
      ...['-o', `Dir::State=${apt}`, '-o', `Dir::State::status=${status}`],
    );
  }
  return options;
}

/**
 * Downloads the sources of a package into the folder `into` and unpacks them there, with Debian's patches. Returns the
 * folder that they are in. Needs dpkg-source.
 */
export function unpackSource(packageName: string, into: string, cache: string): string {
  const apt = join(cache, 'apt-source');
  const parts = join(apt, 'parts');
  for (const folder of [parts, join(apt, 'lists', 'partial')]) mkdirSync(folder, { recursive: true });
  // Few machines have sources in their configuration; they are where Debian's packages come from.
  const format = 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)';
  const lines = run(
    'apt-get',
    ['indextargets', '--format', format, 'Created-By: Packages', 'Origin: Debian'],
    into,
  );
  const list = join(apt, 'sources.list');
  writeFileSync(list, lines);
  const options = [
    ...downloadOptions(),
    ...['-o', `Dir::Etc::sourcelist=${list}`, '-o', `Dir::Etc::sourceparts=${parts}`],
    ...['-o', `Dir::State::Lists=${join(apt, 'lists')}`, '-o', `Dir::Cache=${apt}`],
  ];
  run('apt-get', [...options, 'update'], into);
  run('apt-get', [...options, 'source', packageName], into);
  const [folder] = readdirSync(into, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  if (folder === undefined) throw new Error(`apt-get left no sources of ${packageName}`);
  return join(into, folder.name);
}

/** apt's lists of arm64 packages, and archives of them. */
export class PackageCache {
  /** With which apt finds the lists and the archives. */
  readonly options: readonly string[];
  readonly #folder: string;

  /** Fetches the lists into a folder of `cache`. */
  constructor(cache: string) {
    this.#folder = cache;
    this.options = [...ownLists(cache, 'arm64'), '-y', '-o', 'APT::Install-Recommends=false'];
    run('apt-get', [...this.options, 'update'], cache);
  }

  /**
   * Downloads packages, or what patterns of apt match, with all that they depend on, as far as that is not there.
   * Returns the paths of the archives.
   */
  fetch(packages: readonly string[]): string[] {
    run('apt-get', [...this.options, 'install', '--download-only', ...packages], this.#folder);
    const plan = run('apt-get', [...this.options, 'install', '--simulate', ...packages], this.#folder);
    return [...plan.matchAll(/^Inst (\S+) \((\S+) [^[]*\[(\w+)\]/gm)].map(([, name, version, architecture]) =>
      join(this.#folder, `apt-arm64/archives/${name}_${version?.replaceAll(':', '%3a')}_${architecture}.deb`),
    );
  }
}

/**
 * Runs to the end, quietly. Returns what the program wrote to its standard output; throws the last line that it wrote
 * when it fails.
 */
function run(program: string, args: readonly string[], cwd: string): string {
  const result = spawnSync(program, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (result.status === 0) return result.stdout;
  const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter((line) => line.trim() !== '');
  throw new Error(`${program} ${args.at(-1) ?? ''} failed: ${lines.at(-1) ?? String(result.error)}`);
}
