// npm @atproto/api: everything an account goes through after its sign-up.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agent, admin, call, freshAccount, mailedCode, password, refused, signUp } from '../network.mjs'

test('app passwords sign in, write, can not manage the account, and end when they are revoked', async () => {
  const owner = await signUp(freshAccount('app'))
  const { data: made } = await owner.com.atproto.server.createAppPassword({ name: 'phone' })
  assert.match(made.password, /^([a-z2-7]{4}-){3}[a-z2-7]{4}$/)
  const phone = agent()
  await phone.login({ identifier: owner.session.handle, password: made.password })
  await phone.post({ text: 'from the phone' })
  await refused(phone.com.atproto.server.createAppPassword({ name: 'more' }), 400, 'InvalidToken')
  const { data } = await owner.com.atproto.server.listAppPasswords()
  assert.deepEqual(data.passwords.map(({ name }) => name), ['phone'])
  await owner.com.atproto.server.revokeAppPassword({ name: 'phone' })
  await assert.rejects(phone.post({ text: 'no more' }))
  await refused(agent().login({ identifier: owner.session.handle, password: made.password }), 401, 'AuthenticationRequired')
})

test('an address is confirmed, guards the sign-in, and is changed', async () => {
  const input = freshAccount('ema')
  const client = await signUp(input)
  await client.com.atproto.server.requestEmailConfirmation()
  const token = await mailedCode(input.email, { subject: 'Email Confirmation' })
  await client.com.atproto.server.confirmEmail({ email: input.email, token })
  assert.equal((await client.com.atproto.server.getSession()).data.emailConfirmed, true)

  const { data } = await client.com.atproto.server.requestEmailUpdate()
  assert.equal(data.tokenRequired, true)
  await client.com.atproto.server.updateEmail({ email: input.email, emailAuthFactor: true })
  await refused(agent().login({ identifier: input.handle, password }), 401, 'AuthFactorTokenRequired')
  const second = agent()
  const authFactorToken = await mailedCode(input.email, { subject: 'Sign-in Code' })
  await second.login({ identifier: input.handle, password, authFactorToken })
  assert.equal(second.session.emailAuthFactor, true)
})

test('a forgotten password is reset, and every session ends', async () => {
  const input = freshAccount('for')
  const client = await signUp(input)
  await agent().com.atproto.server.requestPasswordReset({ email: input.email })
  await agent().com.atproto.server.requestPasswordReset({ email: 'nobody@mail.com' })
  const token = await mailedCode(input.email, { subject: 'Password Reset Requested' })
  await refused(agent().com.atproto.server.resetPassword({ token: 'AAAAA-AAAAA', password: 'another battery' }), 400, 'InvalidToken')
  await agent().com.atproto.server.resetPassword({ token, password: 'another battery' })
  await assert.rejects(client.com.atproto.server.getSession())
  await refused(agent().login({ identifier: input.handle, password }), 401, 'AuthenticationRequired')
  const again = agent()
  await again.login({ identifier: input.handle, password: 'another battery' })
  assert.equal(again.session.handle, input.handle)
})

test('an account is deleted for good', async () => {
  const input = freshAccount('del')
  const client = await signUp(input)
  const { did } = client.session
  await client.post({ text: 'soon gone' })
  await client.com.atproto.server.requestAccountDelete()
  const token = await mailedCode(input.email, { subject: 'Account Deletion Requested' })
  await agent().com.atproto.server.deleteAccount({ did, password, token })
  await refused(agent().login({ identifier: did, password }), 401, 'AuthenticationRequired')
  const status = await call('GET', 'com.atproto.sync.getRepoStatus', { params: { did } })
  assert.equal(status.body.error, 'RepoNotFound')
})

test('the operator deletes an account', async () => {
  const client = await signUp(freshAccount('opd'))
  const { did } = client.session
  const reply = await call('POST', 'com.atproto.admin.deleteAccount', { body: { did }, headers: admin() })
  assert.equal(reply.status, 200)
  const status = await call('GET', 'com.atproto.sync.getRepoStatus', { params: { did } })
  assert.equal(status.body.error, 'RepoNotFound')
})

test('preferences are kept for the account alone', async () => {
  const client = await signUp(freshAccount('pre'))
  await client.app.bsky.actor.putPreferences({
    preferences: [{ $type: 'app.bsky.actor.defs#personalDetailsPref', birthDate: '2000-01-01T00:00:00.000Z' }],
  })
  const { data } = await client.app.bsky.actor.getPreferences()
  assert.equal(data.preferences.find(({ $type }) => $type.endsWith('declaredAgePref')).isOverAge18, true)
})
