// npm @atproto/api: signing up and everything a session goes through afterwards.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agent, bearer, call, freshAccount, freshName, password, pdsUrl, refused, signUp } from '../network.mjs'

test('AtpAgent.createAccount leaves the agent signed in at this server', async () => {
  const input = freshAccount('new')
  const client = agent()
  const { success, data } = await client.createAccount(input)

  assert.ok(success)
  assert.match(data.did, /^did:plc:[a-z2-7]{24}$/)
  assert.equal(data.handle, input.handle)
  assert.equal(data.didDoc.id, data.did)
  assert.equal(client.did, data.did)
  assert.equal(client.session.handle, input.handle)
  assert.equal(client.session.email, input.email)
  assert.equal(client.pdsUrl.origin, new URL(pdsUrl).origin)
})

test('a handle in capitals is taken in lower case', async () => {
  const input = freshAccount('cap')
  const client = await signUp({ ...input, handle: input.handle.toUpperCase() })
  assert.equal(client.session.handle, input.handle)
})

test('AtpAgent.login takes handle, e-mail address and DID', async () => {
  const input = freshAccount('log')
  const { did } = await signUp(input)
  for (const identifier of [input.handle, input.handle.toUpperCase(), input.email, did]) {
    const client = agent()
    const { data } = await client.login({ identifier, password })
    assert.equal(data.did, did)
    assert.equal(data.handle, input.handle)
    assert.equal(data.email, input.email)
    assert.equal(data.active, true)
    assert.equal(client.did, did)
  }
})

test('AtpAgent.login refuses a wrong password and an unknown account alike', async () => {
  const input = freshAccount('wro')
  await signUp(input)
  const wrong = await refused(
    agent().login({ identifier: input.handle, password: 'not the password' }),
    401,
    'AuthenticationRequired',
  )
  const unknown = await refused(
    agent().login({ identifier: `${freshName('non')}.test`, password }),
    401,
    'AuthenticationRequired',
  )
  assert.equal(wrong.message, unknown.message)
})

test('AtpAgent.resumeSession and getSession in a second agent', async () => {
  const first = await signUp(freshAccount('res'))
  const second = agent()
  await second.resumeSession(first.session)
  assert.equal(second.did, first.did)

  const { data } = await second.com.atproto.server.getSession()
  assert.equal(data.did, first.did)
  assert.equal(data.handle, first.session.handle)
  assert.equal(data.email, first.session.email)
  assert.equal(data.emailConfirmed, false)
  assert.equal(data.active, true)
})

test('refreshing gives new tokens, which work', async () => {
  const events = []
  const client = agent({ persistSession: (event) => events.push(event) })
  await client.createAccount(freshAccount('ref'))
  const before = client.session
  await client.sessionManager.refreshSession()

  assert.deepEqual(events, ['create', 'update'])
  assert.notEqual(client.session.refreshJwt, before.refreshJwt)
  const { data } = await client.com.atproto.server.getSession()
  assert.equal(data.did, client.did)
})

test('ten refreshes with one token at once agree on its successor', async () => {
  const client = await signUp(freshAccount('par'))
  const answers = await Promise.all(
    Array.from({ length: 10 }, () =>
      call('POST', 'com.atproto.server.refreshSession', { headers: bearer(client.session.refreshJwt) }),
    ),
  )
  const successors = new Set(answers.map(({ status, body }) => {
    assert.equal(status, 200, JSON.stringify(body))
    return JSON.parse(Buffer.from(body.refreshJwt.split('.')[1], 'base64url')).jti
  }))
  assert.equal(successors.size, 1)
})

test('an access token does not refresh, and a refresh token does not open a session', async () => {
  const client = await signUp(freshAccount('mix'))
  const { accessJwt, refreshJwt } = client.session
  const refresh = await call('POST', 'com.atproto.server.refreshSession', { headers: bearer(accessJwt) })
  assert.equal(refresh.body.error, 'InvalidToken')
  const open = await call('GET', 'com.atproto.server.getSession', { headers: bearer(refreshJwt) })
  assert.equal(open.body.error, 'InvalidToken')
})

test('AtpAgent.logout ends the session for good', async () => {
  const client = await signUp(freshAccount('out'))
  const { refreshJwt } = client.session
  await client.logout()

  assert.equal(client.hasSession, false)
  const again = await call('POST', 'com.atproto.server.refreshSession', { headers: bearer(refreshJwt) })
  assert.equal(again.status, 400)
  assert.equal(again.body.error, 'ExpiredToken')
})

test('describeServer and resolveHandle without a session', async () => {
  const client = await signUp(freshAccount('dsc'))
  const described = await agent().com.atproto.server.describeServer()
  assert.deepEqual(described.data.availableUserDomains, ['.test'])
  assert.match(described.data.did, /^did:web:/)

  const resolved = await agent().com.atproto.identity.resolveHandle({ handle: client.session.handle })
  assert.equal(resolved.data.did, client.did)
})
