// The old com.atproto.account.* methods, called plainly: no living client has them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admin, agent, bearer, call, freshAccount, judgeAuditLog, password, signUp } from '../network.mjs'

test('com.atproto.account.create makes the same account as createAccount', async () => {
  const input = freshAccount('old')
  const { status, body } = await call('POST', 'com.atproto.account.create', { body: input })

  assert.equal(status, 200, JSON.stringify(body))
  assert.deepEqual(Object.keys(body).sort(), ['accessJwt', 'did', 'handle', 'refreshJwt'])
  assert.equal(body.handle, input.handle)
  await judgeAuditLog(body.did)
  const { data } = await agent().login({ identifier: input.handle, password })
  assert.equal(data.did, body.did)
})

test('com.atproto.account.create takes inviteCode and recoveryKey, and refuses by name', async () => {
  const { Secp256k1Keypair } = await import('@atproto/crypto')
  const recovery = await Secp256k1Keypair.create()
  const code = await call('POST', 'com.atproto.account.createInviteCode', { headers: admin(), body: { useCount: 1 } })
  assert.equal(code.status, 200, JSON.stringify(code.body))

  const input = { ...freshAccount('olr'), inviteCode: code.body.code, recoveryKey: recovery.did() }
  const { status, body } = await call('POST', 'com.atproto.account.create', { body: input })
  assert.equal(status, 200, JSON.stringify(body))
  assert.equal((await judgeAuditLog(body.did)).data.rotationKeys[0], recovery.did())

  const cases = [
    ['InvalidInviteCode', { ...freshAccount(), inviteCode: code.body.code }],
    ['HandleNotAvailable', { ...freshAccount(), handle: input.handle }],
    ['InvalidHandle', { ...freshAccount(), handle: 'jo_hn.test' }],
    ['InvalidPassword', { ...freshAccount(), password: 'short' }],
    ['InvalidRequest', { handle: freshAccount().handle, password }],
  ]
  for (const [name, refusedInput] of cases) {
    const answer = await call('POST', 'com.atproto.account.create', { body: refusedInput })
    assert.equal(answer.status, 400, JSON.stringify(answer.body))
    assert.equal(answer.body.error, name)
  }
})

test('com.atproto.account.createInviteCode is the administrator\'s', async () => {
  const { status } = await call('POST', 'com.atproto.account.createInviteCode', { body: { useCount: 1 } })
  assert.equal(status, 401)
})

test('com.atproto.account.get tells whose token it is', async () => {
  const client = await signUp(freshAccount('get'))
  const { status } = await call('GET', 'com.atproto.account.get', { headers: bearer(client.session.accessJwt) })
  assert.equal(status, 200)
  const without = await call('GET', 'com.atproto.account.get')
  assert.equal(without.status, 401)
})
