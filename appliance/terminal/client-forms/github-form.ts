/**
 * Steps of a GitHub Actions job that pull from the cache, and push to it by action.yml. The password comes from a
 * secret of the repository. YAML's double-quoted strings are a superset of JSON's.
 */
import { formatSettings, hostOf, outageValues } from '../../../src/index.ts'
import { listNotes, type SharedSetup, toComment } from './shared-setup.ts'

const secret = '${{ secrets.BURROW_PASSWORD }}'

export function formatGithubForm(setup: SharedSetup): string {
  const { userName, withPush } = setup
  const notes = [
    'Steps of a GitHub Actions job, before the first one that builds.',
    ...listNotes(setup),
    ...(userName === undefined
      ? []
      : [
          'Store the password as a secret of the repository named BURROW_PASSWORD (Settings > Secrets and variables > Actions). Pull requests from forks do not get it: they build without the cache.',
        ]),
  ]
  return [
    toComment(notes),
    installStep(setup),
    userName === undefined ? '' : loginStep(setup.url, userName),
    withPush && userName !== undefined ? pushStep(setup.url, userName) : '',
  ].join('')
}

function installStep({ url, publicKeys }: SharedSetup): string {
  const lines = [
    `extra-substituters = ${url}`,
    ...(publicKeys.length === 0 ? [] : [`extra-trusted-public-keys = ${publicKeys.join(' ')}`]),
    ...formatSettings(outageValues),
  ]
  return `- uses: cachix/install-nix-action@v31
  with:
    extra_nix_config: |
${lines.map((line) => `      ${literal(line)}\n`).join('')}`
}

/** The values go through the environment, so that the shell takes none of them for a command. */
function loginStep(url: string, userName: string): string {
  return `- name: Log in to the cache
  shell: bash
  env:
    BURROW_HOST: ${scalar(hostOf(url))}
    BURROW_USER: ${scalar(userName)}
    BURROW_PASSWORD: ${secret}
  run: |
    # Quotes only where they are needed: old versions of curl do not know them.
    token() { case $1 in *[[:space:]\\"\\\\]* | \\#*) printf '"%s"' "$(printf '%s' "$1" | sed 's/["\\\\]/\\\\&/g')" ;; *) printf '%s' "$1" ;; esac; }
    printf 'machine %s login %s password %s\\n' "$BURROW_HOST" "$(token "$BURROW_USER")" "$(token "$BURROW_PASSWORD")" |
      sudo install -D -m 600 /dev/stdin /etc/nix/netrc
`
}

function pushStep(url: string, userName: string): string {
  return `# Builds, and pushes what the build added to the store. OWNER/REPOSITORY@VERSION is where you have Burrow from.
- uses: OWNER/REPOSITORY@VERSION
  with:
    url: ${scalar(url)}
    user: ${scalar(userName)}
    password: ${secret}
    build: nix build
`
}

function scalar(text: string): string {
  return literal(JSON.stringify(text))
}

/** GitHub evaluates \`\${{ … }}\` in every value, also in quotes; an expression that yields its beginning stays text. */
function literal(text: string): string {
  return text.replaceAll('${{', "${{ '${{' }}")
}
