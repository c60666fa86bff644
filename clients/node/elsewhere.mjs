// Moves an account from another server, such as npm @atproto/pds, to Allod and back. Not part of `cargo xtask test`: it
// needs that server.
//
//   PDS_URL, PLC_URL, ADMIN_PASSWORD   Allod, in development mode, and the directory that both use
//   ELSEWHERE_URL                      the other server, which sends its mail to MAIL_PORT (PDS_EMAIL_SMTP_URL)
//   MAIL_PORT                          where this program takes mail
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { AtpAgent } from '@atproto/api'
import { freshAccount, judgeAuditLog, mailedCode, password, pdsUrl, plcUrl } from './network.mjs'
import { judgeArrival, migrate } from './migration.mjs'

const elsewhere = process.env.ELSEWHERE_URL
const letters = []

// As much of SMTP as it takes to be handed a letter.
const mail = createServer((socket) => {
  let buffer = ''
  let letter
  socket.write('220 here\r\n')
  socket.on('data', (data) => {
    buffer += data
    for (let end; (end = buffer.indexOf('\r\n')) >= 0; ) {
      const line = buffer.slice(0, end)
      buffer = buffer.slice(end + 2)
      if (letter !== undefined) {
        if (line !== '.') {
          letter += `${line}\n`
          continue
        }
        letters.push(letter)
        letter = undefined
        socket.write('250 taken\r\n')
      } else if (/^data/i.test(line)) {
        letter = ''
        socket.write('354 go on\r\n')
      } else if (/^quit/i.test(line)) socket.end('221 bye\r\n')
      else socket.write('250 fine\r\n')
    }
  })
})
await new Promise((resolve) => mail.listen(Number(process.env.MAIL_PORT), '127.0.0.1', resolve))

async function lastCode() {
  for (let tries = 0; tries < 300; tries += 1) {
    const code = letters.at(-1)?.replace(/=\n/g, '').match(/[A-Z2-7]{5}-[A-Z2-7]{5}/)?.[0]
    if (code) return code
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('no letter came')
}

const interests = [{ $type: 'app.bsky.actor.defs#interestsPref', tags: ['moving'] }]
const input = freshAccount('els')
const from = new AtpAgent({ service: elsewhere })
await from.createAccount(input)
const { did } = from.session
const bytes = new Uint8Array(70_000).map((_, index) => index % 251)
const { data: uploaded } = await from.uploadBlob(bytes, { encoding: 'application/octet-stream' })
await from.com.atproto.repo.createRecord({
  repo: did,
  collection: 'com.example.picture',
  record: { $type: 'com.example.picture', picture: uploaded.blob },
})
for (let n = 0; n < 120; n += 1) await from.post({ text: `post ${n}` })
await from.app.bsky.actor.putPreferences({ preferences: interests })

async function posts(client) {
  const found = []
  let cursor
  do {
    const { data } = await client.com.atproto.repo.listRecords({
      repo: did,
      collection: 'app.bsky.feed.post',
      limit: 100,
      cursor,
    })
    found.push(...data.records.map(({ uri, cid }) => `${uri} ${cid}`))
    cursor = data.cursor
  } while (cursor)
  return found
}
const before = await posts(from)
assert.equal(before.length, 120)

const here = await migrate({ from, to: pdsUrl, handle: input.handle, email: input.email, password, codeOf: lastCode })
assert.deepEqual(await posts(here), before)
assert.deepEqual((await here.app.bsky.actor.getPreferences()).data.preferences, interests)
const cid = uploaded.blob.ref.toString()
assert.deepEqual((await here.com.atproto.sync.getBlob({ did, cid })).data, bytes)
assert.equal(await judgeArrival({ streamUrl: pdsUrl, plcUrl, did, handle: input.handle }), pdsUrl)
await here.post({ text: 'written here' })
console.log(`${did} moved from ${elsewhere} to ${pdsUrl}: 121 posts, a blob, preferences, and its first commit verifies`)

// The other server keeps the account it lost, so that the way back begins with its deletion there.
await from.com.atproto.server.requestAccountDelete()
letters.length = 0
await from.com.atproto.server.requestAccountDelete()
await from.com.atproto.server.deleteAccount({ did, password, token: await lastCode() })
const back = await migrate({
  from: here,
  to: elsewhere,
  handle: input.handle,
  email: input.email,
  password,
  codeOf: () => mailedCode(input.email),
})
assert.equal((await posts(back)).length, 121)
assert.deepEqual((await back.com.atproto.sync.getBlob({ did, cid })).data, bytes)
const { data } = await judgeAuditLog(did)
assert.equal(data.services.atproto_pds.endpoint, elsewhere)
const status = await new AtpAgent({ service: pdsUrl }).com.atproto.sync.getRepoStatus({ did })
assert.equal(status.data.status, 'deactivated')
console.log(`${did} moved back to ${elsewhere}`)
mail.close()
process.exit(0)
