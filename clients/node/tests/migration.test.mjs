// npm @atproto/api: an account moves from one Allod to another with records, pictures and preferences, and back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AtpAgent } from '@atproto/api'
import { agent, freshAccount, judgeAuditLog, mailedCode, password, pdsUrl, plcUrl, refused } from '../network.mjs'
import { judgeArrival, migrate } from '../migration.mjs'

const secondUrl = process.env.SECOND_PDS_URL
assert.ok(secondUrl, 'SECOND_PDS_URL is not set: run this through `cargo xtask test`')

const interests = [{ $type: 'app.bsky.actor.defs#interestsPref', tags: ['moving', 'house'] }]

async function contents(client, did) {
  const { data } = await client.com.atproto.repo.listRecords({ repo: did, collection: 'app.bsky.feed.post', limit: 100 })
  return data.records.map(({ uri, cid, value }) => ({ uri, cid, text: value.text }))
}

test('an account moves out with all it has, and moves back', async () => {
  const input = freshAccount('mov')
  const from = agent()
  await from.createAccount(input)
  const did = from.session.did
  const picture = await from.uploadBlob(new Uint8Array([1, 2, 3, 4, 5]), { encoding: 'application/octet-stream' })
  await from.com.atproto.repo.createRecord({
    repo: did,
    collection: 'com.example.picture',
    record: { $type: 'com.example.picture', picture: picture.data.blob },
  })
  for (let n = 0; n < 25; n += 1) await from.post({ text: `post ${n}` })
  await from.app.bsky.actor.putPreferences({ preferences: interests })
  const before = await contents(from, did)
  assert.equal(before.length, 25)

  const second = await migrate({
    from,
    to: secondUrl,
    handle: input.handle,
    email: input.email,
    password,
    codeOf: () => mailedCode(input.email),
  })
  assert.deepEqual(await contents(second, did), before)
  assert.deepEqual((await second.app.bsky.actor.getPreferences()).data.preferences, interests)
  const cid = picture.data.blob.ref.toString()
  const blob = await second.com.atproto.sync.getBlob({ did, cid })
  assert.deepEqual([...blob.data], [1, 2, 3, 4, 5])
  assert.equal(await judgeArrival({ streamUrl: secondUrl, plcUrl, did, handle: input.handle }), secondUrl)
  await second.post({ text: 'from the new house' })
  assert.equal((await contents(second, did)).length, 26)
  const old = await agent().com.atproto.sync.getRepoStatus({ did })
  assert.equal(old.data.status, 'deactivated')
  await refused(agent().com.atproto.sync.getRepo({ did }), 400, 'RepoDeactivated')

  // The old account is still there: it is deleted before the same identity comes back.
  await from.com.atproto.server.requestAccountDelete()
  const code = await mailedCode(input.email, { subject: 'Account Deletion Requested' })
  await from.com.atproto.server.deleteAccount({ did, password, token: code })

  const back = await migrate({
    from: second,
    to: pdsUrl,
    handle: input.handle,
    email: input.email,
    password,
    codeOf: () => mailedCode(input.email, { serverUrl: secondUrl }),
  })
  assert.equal(await judgeArrival({ streamUrl: pdsUrl, plcUrl, did, handle: input.handle }), pdsUrl)
  assert.equal((await contents(back, did)).length, 26)
  const { data } = await judgeAuditLog(did)
  assert.equal(data.services.atproto_pds.endpoint, pdsUrl)
})

test('a token for moving in works once and for its own identity', async () => {
  const client = agent()
  const input = freshAccount('onc')
  await client.createAccount(input)
  const other = new AtpAgent({ service: secondUrl })
  const { data: server } = await other.com.atproto.server.describeServer()
  const { data } = await client.com.atproto.server.getServiceAuth({
    aud: server.did,
    lxm: 'com.atproto.server.createAccount',
  })
  const moveIn = (did) =>
    other.com.atproto.server.createAccount(
      { did, handle: input.handle, email: input.email, password },
      { headers: { authorization: `Bearer ${data.token}` }, encoding: 'application/json' },
    )
  await refused(moveIn('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'), 401, 'AuthenticationRequired')
  await moveIn(client.session.did)
  await assert.rejects(moveIn(client.session.did))
})
