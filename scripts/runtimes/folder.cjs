/** A folder for one test, removed when the process ends. */
'use strict';
const { mkdtempSync, rmSync } = require('node:fs');
const path = require('node:path');

module.exports.newFolder = () => {
  const dir = mkdtempSync(path.join(__dirname, 'folder-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
};
