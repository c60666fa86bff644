// npm @atproto/api on a server where sign-ups wait until they are let in, which happens by itself within seconds.
//
// QUEUEING_PDS_URL  such a server, with the directory of the others
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AtpAgent } from '@atproto/api'
import { freshAccount, judgeAuditLog, password, plc } from '../network.mjs'

const service = process.env.QUEUEING_PDS_URL

// What an access token allows.
const scope = ({ session }) => JSON.parse(Buffer.from(session.accessJwt.split('.')[1], 'base64url')).scope
const place = async (client) => (await client.com.atproto.temp.checkSignupQueue()).data

test('somebody waits unheard of, is let in, and goes on with the same sign-in', async () => {
  const input = freshAccount('que')
  const client = new AtpAgent({ service })
  await client.createAccount(input)
  const { did } = client.session
  assert.equal(scope(client), 'com.atproto.signupQueued')

  for (let tries = 0; ; tries += 1) {
    const known = await plc.getDocument(did).then(() => true, () => false)
    const { activated, placeInQueue, estimatedTimeMs } = await place(client)
    if (activated) break
    assert.equal(known, false, 'the directory knows who waits')
    assert.ok(placeInQueue >= 1 && estimatedTimeMs > 0)
    await assert.rejects(client.com.atproto.server.listAppPasswords(), { error: 'InvalidToken' })
    assert.ok(tries < 300, 'nobody was let in')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }

  // What an app does then.
  await client.sessionManager.refreshSession()
  assert.equal(scope(client), 'com.atproto.access')
  await client.post({ text: 'in at last' })
  await judgeAuditLog(did)
  const again = new AtpAgent({ service })
  await again.login({ identifier: input.handle, password })
  assert.equal(again.session.active, true)
  const { messages } = await (await fetch(`${service}/dev/mail?format=json`)).json()
  assert.ok(messages.some(({ to, subject }) => to === input.email && subject === 'Your Account Is Ready'))
})
