// npm @atproto/api: every error that createAccount declares reaches the client as the class made for it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ComAtprotoServerCreateAccount as CreateAccount } from '@atproto/api'
import { Secp256k1Keypair } from '@atproto/crypto'
import { admin, agent, call, freshAccount, freshName, plc, refused, signUp } from '../network.mjs'
import { serviceToken } from '../service-auth.mjs'

const create = (input, headers) => agent().com.atproto.server.createAccount(input, { headers })

async function declared(promise, name) {
  const error = await refused(promise, 400, name)
  assert.ok(error instanceof CreateAccount[`${name}Error`], `${name} is not the class of ${error.constructor.name}`)
  return error
}

test('InvalidHandle: not a handle, too short, a dot too many, a forbidden top-level domain', async () => {
  for (const handle of ['jo_hn.test', '-john.test', 'john', 'ab.test', 'a.b.test', 'john.local']) {
    await declared(create({ ...freshAccount(), handle }), 'InvalidHandle')
  }
})

test('HandleNotAvailable: taken, also in capitals, and reserved', async () => {
  const input = freshAccount('tak')
  await signUp(input)
  for (const handle of [input.handle, input.handle.toUpperCase()]) {
    const error = await declared(create({ ...freshAccount(), handle }), 'HandleNotAvailable')
    assert.equal(error.message, `Handle already taken: ${input.handle}`)
  }
  await declared(create({ ...freshAccount(), handle: 'admin.test' }), 'HandleNotAvailable')
})

test('UnsupportedDomain: a handle under a domain that is not the server\'s', async () => {
  await declared(create({ ...freshAccount(), handle: `${freshName('uns')}.com` }), 'UnsupportedDomain')
})

test('InvalidPassword: too short and too long', async () => {
  for (const password of ['short', 'x'.repeat(257)]) {
    await declared(create({ ...freshAccount(), password }), 'InvalidPassword')
  }
})

test('InvalidInviteCode: refused before anything is reserved', async () => {
  const input = freshAccount('inv')
  await declared(create({ ...input, inviteCode: 'localhost-aaaaa-aaaaa' }), 'InvalidInviteCode')
  await signUp(input)
})

test('InvalidInviteCode: one use is one account', async () => {
  const code = await call('POST', 'com.atproto.server.createInviteCode', { headers: admin(), body: { useCount: 1 } })
  assert.equal(code.status, 200, JSON.stringify(code.body))
  await signUp({ ...freshAccount('one'), inviteCode: code.body.code })
  await declared(create({ ...freshAccount('two'), inviteCode: code.body.code }), 'InvalidInviteCode')
})

test('e-mail: not an address, missing, and taken in another case', async () => {
  const { email: _, ...withoutEmail } = freshAccount()
  await refused(create({ ...freshAccount(), email: 'nobody' }), 400, 'InvalidRequest')
  await refused(create(withoutEmail), 400, 'InvalidRequest')
  const input = freshAccount('eml')
  await signUp(input)
  const error = await refused(create({ ...freshAccount(), email: input.email.toUpperCase() }), 400, 'InvalidRequest')
  assert.match(error.message, /^Email already taken: /)
})

test('recoveryKey: not a did:key', async () => {
  const input = freshAccount('rec')
  await refused(create({ ...input, recoveryKey: 'did:key:zNotAKey' }), 400, 'InvalidRequest')
  await signUp(input)
})

test('UnresolvableDid: service auth by a DID the directory does not know', async () => {
  const did = `did:plc:${'a'.repeat(24)}`
  const token = await serviceToken({ did, keypair: await Secp256k1Keypair.create() })
  await declared(create({ ...freshAccount(), did }, { authorization: `Bearer ${token}` }), 'UnresolvableDid')
})

test('a DID without its service auth is refused', async () => {
  const { did } = await signUp(freshAccount('ano'))
  const error = await refused(create({ ...freshAccount(), did }), 401, 'AuthenticationRequired')
  assert.equal(error.message, `Missing auth to create account with did: ${did}`)
})

test('IncompatibleDidDoc: an operation that does not point here', async () => {
  const rotation = await Secp256k1Keypair.create()
  const signing = await Secp256k1Keypair.create()
  const { createOp } = await import('@did-plc/lib')
  const input = freshAccount('inc')
  const { op, did } = await createOp({
    signingKey: signing.did(),
    handle: input.handle,
    pds: 'https://elsewhere.example.com',
    rotationKeys: [rotation.did()],
    signer: rotation,
  })
  await declared(create({ ...input, plcOp: op }), 'IncompatibleDidDoc')
  await assert.rejects(plc.getDocument(did), 'the refused operation must not have reached the directory')
})
