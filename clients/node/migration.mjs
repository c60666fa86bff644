// Moving house with nothing but the public methods, as any tool would: npm @atproto/api at both ends.
import assert from 'node:assert/strict'
import { readCarWithRoot, verifyCommitSig } from '@atproto/repo'
import { AtpAgent } from '@atproto/api'
import { IdResolver } from '@atproto/identity'
import { readStream } from './stream.mjs'

// Takes the account of the session `from` to the server `to`. `codeOf` answers the code that the old server mails.
// Answers the session at the new server.
export async function migrate({ from, to, handle, email, password, codeOf }) {
  const did = from.session.did
  const agent = new AtpAgent({ service: to })
  const { data: server } = await agent.com.atproto.server.describeServer()
  const { data: auth } = await from.com.atproto.server.getServiceAuth({
    aud: server.did,
    lxm: 'com.atproto.server.createAccount',
  })
  await agent.com.atproto.server.createAccount(
    { did, handle, email, password },
    { headers: { authorization: `Bearer ${auth.token}` }, encoding: 'application/json' },
  )
  await agent.login({ identifier: did, password })

  const repo = await from.com.atproto.sync.getRepo({ did })
  await agent.com.atproto.repo.importRepo(repo.data, { encoding: 'application/vnd.ipld.car' })
  let cursor
  do {
    const { data } = await agent.com.atproto.repo.listMissingBlobs({ cursor, limit: 100 })
    for (const { cid } of data.blobs) {
      const blob = await from.com.atproto.sync.getBlob({ did, cid })
      await agent.com.atproto.repo.uploadBlob(blob.data, { encoding: blob.headers['content-type'] })
    }
    cursor = data.cursor
  } while (cursor)
  const { data: preferences } = await from.app.bsky.actor.getPreferences()
  await agent.app.bsky.actor.putPreferences(preferences)

  const { data: before } = await agent.com.atproto.server.checkAccountStatus()
  assert.equal(before.activated, false)
  assert.equal(before.importedBlobs, before.expectedBlobs)
  const { data: credentials } = await agent.com.atproto.identity.getRecommendedDidCredentials()
  await from.com.atproto.identity.requestPlcOperationSignature()
  const token = await codeOf()
  const { data: signed } = await from.com.atproto.identity.signPlcOperation({ token, ...credentials })
  await agent.com.atproto.identity.submitPlcOperation({ operation: signed.operation })
  await agent.com.atproto.server.activateAccount()
  await from.com.atproto.server.deactivateAccount({})
  const { data: after } = await agent.com.atproto.server.checkAccountStatus()
  assert.ok(after.activated && after.validDid)
  return agent
}

// Checks what a relay hears of a move at the new server: account, identity and sync, and that the first commit verifies
// under the key in the account's document.
export async function judgeArrival({ streamUrl, plcUrl, did, handle }) {
  // An account that comes back was told of here before: what counts is the newest commit's.
  const newest = await (await fetch(`${streamUrl}/xrpc/com.atproto.sync.getLatestCommit?did=${did}`)).json()
  const events = await readStream({
    cursor: 0,
    did,
    streamUrl,
    last: ({ kind, event }) => kind === '#sync' && event.did === did && event.rev === newest.rev,
  })
  const kinds = events.map(({ kind }) => kind)
  assert.deepEqual(kinds.slice(-3), ['#account', '#identity', '#sync'])
  const [account, identity, sync] = events.slice(-3).map(({ event }) => event)
  assert.equal(account.active, true)
  assert.equal(identity.handle, handle)
  const resolver = new IdResolver({ plcUrl, fetch: (...request) => fetch(...request) })
  const { signingKey, pds } = await resolver.did.resolveAtprotoData(did, true)
  const { root, blocks } = await readCarWithRoot(sync.blocks.buf ?? sync.blocks)
  const { decode } = await import('@atproto/lex-cbor')
  const commit = decode(blocks.get(root))
  assert.equal(commit.rev, sync.rev)
  assert.ok(await verifyCommitSig(commit, signingKey), 'the first commit verifies under the key in the document')
  return pds
}
