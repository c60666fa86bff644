// npm @atproto/repo: the repository of a new account verifies against the key in its DID document.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifyRepoCar } from '@atproto/repo'
import { agent, freshAccount, judgeAuditLog, signUp } from '../network.mjs'

test('the CAR from sync.getRepo verifies: DID, signature, empty tree', async () => {
  const { did } = await signUp(freshAccount('car'))
  const { verificationMethods } = (await judgeAuditLog(did)).data
  const { data: bytes, headers } = await agent().com.atproto.sync.getRepo({ did })

  assert.equal(headers['content-type'], 'application/vnd.ipld.car')
  const repo = await verifyRepoCar(bytes, did, verificationMethods.atproto)
  assert.deepEqual(repo.creates, [])

  const latest = await agent().com.atproto.sync.getLatestCommit({ did })
  assert.equal(latest.data.cid, repo.commit.cid.toString())
  assert.equal(latest.data.rev, repo.commit.rev)
})

test('it does not verify with another account\'s key or under another DID', async () => {
  const one = await signUp(freshAccount('one'))
  const other = await signUp(freshAccount('oth'))
  const key = async ({ did }) => (await judgeAuditLog(did)).data.verificationMethods.atproto
  const { data: bytes } = await agent().com.atproto.sync.getRepo({ did: one.did })

  await assert.rejects(async () => verifyRepoCar(bytes, one.did, await key(other)))
  await assert.rejects(async () => verifyRepoCar(bytes, other.did, await key(one)))
})

test('getRepoStatus and getLatestCommit agree; an unknown DID is RepoNotFound', async () => {
  const { did } = await signUp(freshAccount('sta'))
  const status = await agent().com.atproto.sync.getRepoStatus({ did })
  const latest = await agent().com.atproto.sync.getLatestCommit({ did })
  assert.deepEqual(status.data, { did, active: true, rev: latest.data.rev })

  const unknown = `did:plc:${'b'.repeat(24)}`
  for (const method of ['getRepo', 'getRepoStatus', 'getLatestCommit']) {
    await assert.rejects(agent().com.atproto.sync[method]({ did: unknown }), { error: 'RepoNotFound', status: 400 })
  }
})
