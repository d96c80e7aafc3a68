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
  const options = ['-q', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30'];
  // As root, apt would switch to a user who may not write here, and warn.
  if (process.geteuid?.() === 0) options.push('-o', 'APT::Sandbox::User=root');
  if (architecture === undefined) {
    try {
      run('apt-get', [...options, 'download', packageName], into);
      return;
    } catch {
      // Falls through to lists of our own.
    }
  }
  const apt = join(cache, architecture === undefined ? 'apt' : `apt-${architecture}`);
  mkdirSync(join(apt, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(apt, 'archives', 'partial'), { recursive: true });
  options.push(
    ...['-o', `Dir::State::Lists=${join(apt, 'lists')}`],
    ...['-o', `Dir::Cache=${apt}`, '-o', `Dir::Cache::Archives=${join(apt, 'archives')}`],
    // A post-update hook of the distribution would need root.
    ...['-o', 'APT::Update::Post-Invoke-Success::=true', '-o', 'APT::Update::Post-Invoke::=true'],
  );
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
  run('apt-get', [...options, 'update'], into);
  run('apt-get', [...options, 'download', packageName], into);
}

/** Runs to the end, quietly; throws the last line that the program wrote when it fails. */
function run(program: string, args: readonly string[], cwd: string): void {
  const result = spawnSync(program, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (result.status === 0) return;
  const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter((line) => line.trim() !== '');
  throw new Error(`${program} ${args.at(-1) ?? ''} failed: ${lines.at(-1) ?? String(result.error)}`);
}
