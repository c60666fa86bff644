// Last of all: every identity in the directory, whichever suite made it, judged by npm @did-plc/lib.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeAuditLog, plcUrl } from '../network.mjs'

const PAGE_OPERATIONS = 1000

test('every audit log in the directory is valid', async () => {
  const dids = new Set()
  let after
  for (;;) {
    const query = new URLSearchParams({ count: String(PAGE_OPERATIONS), ...(after ? { after } : {}) })
    const response = await fetch(`${plcUrl}/export?${query}`)
    assert.equal(response.status, 200)
    const lines = (await response.text()).split('\n').filter(Boolean).map((line) => JSON.parse(line))
    for (const { did } of lines) dids.add(did)
    if (lines.length < PAGE_OPERATIONS) break
    after = lines.at(-1).createdAt
  }
  assert.ok(dids.size > 0, 'the directory exports nothing')
  for (const did of dids) await judgeAuditLog(did)
  console.log(`judged ${dids.size} audit logs`)
})
