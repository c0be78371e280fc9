#!/usr/bin/env node
// The launcher. The program is commands/main.ts.
//
// This folder is a CommonJS scope and this file uses old syntax only, so that every Node since 13.2 can parse it, types
// or not: one that is too old gets one line instead of a stack trace. bin/build turns this same file into the launcher
// of the published package by replacing the two paths below.
;(function () {
  const needed = String(require('../package.json').engines.node).replace(/[^0-9.]/g, '')
  const want = needed.split('.').map(Number)
  const have = process.versions.node.split('.').map(Number)
  const major = have[0] || 0
  const wantedMajor = want[0] || 0
  if (major < wantedMajor || (major === wantedMajor && (have[1] || 0) < (want[1] || 0))) {
    process.stderr.write(
      'ggen-node: UNSUPPORTED_NODE: needs Node.js ' +
        needed +
        ' or newer and this is ' +
        process.versions.node +
        '; in a checkout, npm ci brings the right one: use npx ggen-node\n'
    )
    process.exit(64)
  }
  // The cache goes below the user's own home: a name in the shared temporary folder could be taken by somebody else first.
  // Sources are left out, they change too often to be worth the files.
  if (__filename.endsWith('.js')) {
    const cache = process.env['XDG_CACHE_HOME'] || String(require('os').homedir()) + '/.cache'
    require('module').enableCompileCache(cache + '/ggen-node')
  }
  void import('./commands/main.ts')
})()
