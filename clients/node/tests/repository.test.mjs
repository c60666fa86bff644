// npm @atproto/repo: exports, proofs and what came since verify against the key in the account's DID document.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  MemoryBlockstore,
  Repo,
  readCar,
  readCarWithRoot,
  verifyDiffCar,
  verifyProofs,
  verifyRecords,
  verifyRepoCar,
} from '@atproto/repo'
import { agent, freshAccount, judgeAuditLog, signUp } from '../network.mjs'
import { listed, writeHistory } from '../records.mjs'

const signingKey = async ({ did }) => (await judgeAuditLog(did)).data.verificationMethods.atproto
const getRepo = async (params) => (await agent().com.atproto.sync.getRepo(params)).data
const latestCommit = async (did) => (await agent().com.atproto.sync.getLatestCommit({ did })).data

// The records of a verified export: path to CID.
const contents = (creates) => new Map(creates.map(({ collection, rkey, cid }) => [`${collection}/${rkey}`, cid.toString()]))

test('the CAR from sync.getRepo verifies: DID, signature, empty tree', async () => {
  const { did } = await signUp(freshAccount('car'))
  const { verificationMethods } = (await judgeAuditLog(did)).data
  const { data: bytes, headers } = await agent().com.atproto.sync.getRepo({ did })

  assert.equal(headers['content-type'], 'application/vnd.ipld.car')
  const repo = await verifyRepoCar(bytes, did, verificationMethods.atproto)
  assert.deepEqual(repo.creates, [])

  const latest = await latestCommit(did)
  assert.equal(latest.cid, repo.commit.cid.toString())
  assert.equal(latest.rev, repo.commit.rev)
})

test('after a history of writes the CAR verifies and holds exactly the records that are listed', async () => {
  const client = await signUp(freshAccount('his'))
  await writeHistory(client)
  const repo = await verifyRepoCar(await getRepo({ did: client.did }), client.did, await signingKey(client))
  const records = await listed(client.did)
  assert.equal(records.size, 120)
  assert.deepEqual(contents(repo.creates), records)
  const latest = await latestCommit(client.did)
  assert.deepEqual([repo.commit.cid.toString(), repo.commit.rev], [latest.cid, latest.rev])
})

test('it does not verify with another account\'s key or under another DID', async () => {
  const one = await signUp(freshAccount('one'))
  const other = await signUp(freshAccount('oth'))
  const bytes = await getRepo({ did: one.did })

  await assert.rejects(async () => verifyRepoCar(bytes, one.did, await signingKey(other)))
  await assert.rejects(async () => verifyRepoCar(bytes, other.did, await signingKey(one)))
})

test('what came since a revision brings an older copy up to date', async () => {
  const client = await signUp(freshAccount('sin'))
  const { did } = client
  const key = await signingKey(client)
  await writeHistory(client, 60)
  const old = await getRepo({ did })
  const { root, blocks } = await readCarWithRoot(old)
  const storage = new MemoryBlockstore(blocks)
  const mine = await Repo.load(storage, root)
  assert.deepEqual(contents((await verifyRepoCar(old, did, key)).creates), await listed(did))

  await writeHistory(client, 20)
  const diff = await verifyDiffCar(mine, await getRepo({ did, since: mine.commit.rev }), did, key)
  const records = contents((await verifyRepoCar(old, did, key)).creates)
  for (const { action, collection, rkey, cid } of diff.writes) {
    if (action === 'delete') records.delete(`${collection}/${rkey}`)
    else records.set(`${collection}/${rkey}`, cid.toString())
  }
  assert.deepEqual(new Map([...records].sort()), new Map([...(await listed(did))].sort()))
  assert.equal(diff.commit.rev, (await latestCommit(did)).rev)
  assert.equal(diff.commit.since, mine.commit.rev)
})

test('sync.getRecord proves that a record is there, and that one is not', async () => {
  const client = await signUp(freshAccount('prf'))
  const { did } = client
  await writeHistory(client, 80)
  const key = await signingKey(client)
  const proof = async (collection, rkey) => (await agent().com.atproto.sync.getRecord({ did, collection, rkey })).data
  const verify = async (claims, bytes) => (await verifyProofs(bytes, claims, did, key)).verified.length === claims.length

  const { creates } = await verifyRepoCar(await getRepo({ did }), did, key)
  const { collection, rkey, cid } = creates.at(17)
  const there = await proof(collection, rkey)
  assert.ok(await verify([{ collection, rkey, cid }], there))
  assert.ok(!(await verify([{ collection, rkey, cid: creates.at(18).cid }], there)), 'the proof proves another record')
  assert.ok(!(await verify([{ collection, rkey, cid: null }], there)), 'the proof also proves the contrary')
  const [claim] = await verifyRecords(there, did, key)
  assert.deepEqual([claim.collection, claim.rkey], [collection, rkey])
  assert.equal(claim.record.$type, collection)

  for (const absentKey of ['2222222222222', 'zzzzzzzzzzzzz', rkey]) {
    const absent = { collection: 'com.example.absent', rkey: absentKey, cid: null }
    assert.ok(await verify([absent], await proof(absent.collection, absentKey)), `${absentKey} is not proven to be absent`)
  }
  await assert.rejects(verifyProofs(there, [], did, await signingKey(await signUp(freshAccount('els')))))
})

test('getBlocks brings the blocks asked for and names the one that is missing', async () => {
  const client = await signUp(freshAccount('blo'))
  const { did } = client
  const { cid } = await client.post({ text: 'a block' })
  const latest = await latestCommit(did)
  const { data } = await agent().com.atproto.sync.getBlocks({ did, cids: [cid, latest.cid] })
  const { blocks } = await readCar(data)
  assert.deepEqual(blocks.cids().map(String).sort(), [cid, latest.cid].sort())
  const missing = 'bafyreie6o2sq47ukysnnnwxcb7eocpyyazetp5n3m4u3n5f7v5xr7qn62u'
  await assert.rejects(agent().com.atproto.sync.getBlocks({ did, cids: [missing] }), { status: 400 })
})

test('getRepoStatus and getLatestCommit agree; an unknown DID is RepoNotFound', async () => {
  const { did } = await signUp(freshAccount('sta'))
  const status = await agent().com.atproto.sync.getRepoStatus({ did })
  const latest = await latestCommit(did)
  assert.deepEqual(status.data, { did, active: true, rev: latest.rev })

  const unknown = `did:plc:${'b'.repeat(24)}`
  for (const method of ['getRepo', 'getRepoStatus', 'getLatestCommit']) {
    await assert.rejects(agent().com.atproto.sync[method]({ did: unknown }), { error: 'RepoNotFound', status: 400 })
  }
})
