// npm @did-plc/lib: the identities that sign-up makes, as the directory and its own library see them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { P256Keypair, Secp256k1Keypair, formatDidKey, multibaseToBytes } from '@atproto/crypto'
import { createOp, createUpdateOp } from '@did-plc/lib'
import { agent, bearer, call, freshAccount, judgeAuditLog, pdsUrl, plc, refused, signUp } from '../network.mjs'
import { serviceToken } from '../service-auth.mjs'

// The rotation key that the server puts last in every identity it makes.
async function serverRotationKey() {
  const { did } = await signUp(freshAccount('key'))
  const { data } = await judgeAuditLog(did)
  return data.rotationKeys.at(-1)
}

// Directories write keys as Multikey; the published one still writes the older form, uncompressed.
const didKey = ({ type, publicKeyMultibase }) =>
  type === 'Multikey' ? `did:key:${publicKeyMultibase}` : formatDidKey('ES256K', multibaseToBytes(publicKeyMultibase))

async function reserveSigningKey(did) {
  const { data } = await agent().com.atproto.server.reserveSigningKey(did ? { did } : {})
  return data.signingKey
}

test('a new account has one genesis operation, valid, naming its handle and this server', async () => {
  const input = freshAccount('gen')
  const { did } = await signUp(input)
  const { entries, data } = await judgeAuditLog(did)

  assert.equal(entries.length, 1)
  assert.equal(entries[0].operation.prev, null)
  assert.deepEqual(data.alsoKnownAs, [`at://${input.handle}`])
  assert.deepEqual(data.services, { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: pdsUrl } })
  assert.match(data.verificationMethods.atproto, /^did:key:zQ3sh/)
})

test('every account has a signing key of its own', async () => {
  const keys = new Set()
  for (let i = 0; i < 3; i++) {
    const { did } = await signUp(freshAccount('own'))
    keys.add((await judgeAuditLog(did)).data.verificationMethods.atproto)
  }
  assert.equal(keys.size, 3)
})

test('the DID document names handle, key and server, and createAccount returns the same', async () => {
  const input = freshAccount('doc')
  const { data } = await agent().createAccount(input)
  const { verificationMethods } = await plc.getDocumentData(data.did)

  for (const document of [await plc.getDocument(data.did), data.didDoc]) {
    assert.equal(document.id, data.did)
    assert.deepEqual(document.alsoKnownAs, [`at://${input.handle}`])
    const key = document.verificationMethod.find(({ id }) => id.endsWith('#atproto'))
    assert.equal(didKey(key), verificationMethods.atproto)
    const service = document.service.find(({ id }) => id.endsWith('#atproto_pds'))
    assert.equal(service.type, 'AtprotoPersonalDataServer')
    assert.equal(service.serviceEndpoint, pdsUrl)
  }
})

test('/.well-known/atproto-did answers on the handle\'s own host', async () => {
  const { request } = await import('node:http')
  const client = await signUp(freshAccount('wkn'))
  const { hostname, port } = new URL(pdsUrl)
  const answer = await new Promise((resolve, reject) => {
    const headers = { host: client.session.handle }
    request({ hostname, port, path: '/.well-known/atproto-did', headers }, (response) => {
      let body = ''
      response.on('data', (chunk) => (body += chunk)).on('end', () => resolve({ status: response.statusCode, body }))
    }).on('error', reject).end()
  })
  assert.deepEqual(answer, { status: 200, body: client.did })
})

test('recoveryKey of either curve comes first among the rotation keys', async () => {
  for (const kind of [Secp256k1Keypair, P256Keypair]) {
    const recovery = await kind.create()
    const { did } = await signUp({ ...freshAccount('rcv'), recoveryKey: recovery.did() })
    const { data } = await judgeAuditLog(did)
    assert.equal(data.rotationKeys[0], recovery.did())
    assert.equal(data.rotationKeys.length, 2)
  }
})

test('the holder of the recovery key can take the identity away', async () => {
  const recovery = await Secp256k1Keypair.create()
  const input = freshAccount('tke')
  const { did } = await signUp({ ...input, recoveryKey: recovery.did() })
  await plc.updatePds(did, recovery, 'https://elsewhere.example.com')

  const { entries, data } = await judgeAuditLog(did)
  assert.equal(entries.length, 2)
  assert.equal(data.services.atproto_pds.endpoint, 'https://elsewhere.example.com')
})

test('plcOp: an identity that its owner signed is taken as it is', async () => {
  const owner = await Secp256k1Keypair.create()
  const input = freshAccount('own')
  const { op, did } = await createOp({
    signingKey: await reserveSigningKey(),
    handle: input.handle,
    pds: pdsUrl,
    rotationKeys: [owner.did(), await serverRotationKey()],
    signer: owner,
  })
  const { data } = await agent().createAccount({ ...input, plcOp: op })

  assert.equal(data.did, did)
  const log = await judgeAuditLog(did)
  assert.equal(log.entries.length, 1)
  assert.deepEqual(log.entries[0].operation, op)
  const session = await call('GET', 'com.atproto.server.getSession', { headers: bearer(data.accessJwt) })
  assert.equal(session.body.active, true)
})

test('plcOp: a signing key that was never reserved here is refused', async () => {
  const owner = await Secp256k1Keypair.create()
  const input = freshAccount('nrs')
  const { op } = await createOp({
    signingKey: owner.did(),
    handle: input.handle,
    pds: pdsUrl,
    rotationKeys: [owner.did(), await serverRotationKey()],
    signer: owner,
  })
  await refused(agent().createAccount({ ...input, plcOp: op }), 400, 'IncompatibleDidDoc')
})

test('did: an identity from elsewhere moves in, deactivated at first', async () => {
  const owner = await Secp256k1Keypair.create()
  const oldKey = await Secp256k1Keypair.create()
  const input = freshAccount('mov')
  const { op, did } = await createOp({
    signingKey: oldKey.did(),
    handle: input.handle,
    pds: 'https://elsewhere.example.com',
    rotationKeys: [owner.did()],
    signer: owner,
  })
  await plc.sendOperation(did, op)

  const token = await serviceToken({ did, keypair: oldKey })
  const headers = bearer(token)
  const create = () => agent().com.atproto.server.createAccount({ ...input, did }, { headers })
  const { data } = await create()
  assert.equal(data.did, did)
  const session = await call('GET', 'com.atproto.server.getSession', { headers: bearer(data.accessJwt) })
  assert.equal(session.body.active, false)
  assert.equal(session.body.status, 'deactivated')
  assert.equal((await judgeAuditLog(did)).entries.length, 1)

  const replayed = await create().then(() => assert.fail('the token worked twice'), (error) => error)
  assert.ok(replayed.status === 401 || replayed.status === 400, `${replayed.status} ${replayed.error}`)
})

test('did and plcOp: the update operation that moves the identity here is submitted', async () => {
  const owner = await Secp256k1Keypair.create()
  const oldKey = await Secp256k1Keypair.create()
  const input = freshAccount('mvo')
  const { op, did } = await createOp({
    signingKey: oldKey.did(),
    handle: `${input.handle.split('.')[0]}.example.com`,
    pds: 'https://elsewhere.example.com',
    rotationKeys: [owner.did()],
    signer: owner,
  })
  await plc.sendOperation(did, op)

  const signingKey = await reserveSigningKey(did)
  const rotationKey = await serverRotationKey()
  const update = await createUpdateOp(op, owner, (last) => ({
    ...last,
    rotationKeys: [owner.did(), rotationKey],
    alsoKnownAs: [`at://${input.handle}`],
    verificationMethods: { atproto: signingKey },
    services: { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: pdsUrl } },
  }))
  const headers = bearer(await serviceToken({ did, keypair: oldKey }))
  const { data } = await agent().com.atproto.server.createAccount({ ...input, did, plcOp: update }, { headers })

  assert.equal(data.did, did)
  const log = await judgeAuditLog(did)
  assert.equal(log.entries.length, 2)
  assert.equal(log.data.verificationMethods.atproto, signingKey)
  assert.equal(log.data.services.atproto_pds.endpoint, pdsUrl)
})
